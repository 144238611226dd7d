/* bpf_glue.h: libbpf and libxdp, which the AF_XDP driver uses. Internal to dpdk/. */
#ifndef SHUNT_BPF_GLUE_H
#define SHUNT_BPF_GLUE_H

/* They print what they do and what fails to standard error; no more. */
void bpf_set_quiet(void);
/* Takes the XDP program off an interface. */
void bpf_detach(const char *ifname);

#endif
