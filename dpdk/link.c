/* link.c: parses link specifications (README, table of links): KIND[:TARGET[,OPTION=VALUE]...] */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dpdk.h"

struct kind_info {
    const char *name;
    enum link_kind kind;
    size_t target_max; /* longest target, 0: takes none */
    const char *what;  /* the target, for messages */
};

static const struct kind_info kinds[] = {
    {"tap", LINK_TAP, IFNAMSIZ - 1, "an interface name"},
    {"packet", LINK_PACKET, IFNAMSIZ - 1, "an interface name"},
    {"xdp", LINK_XDP, IFNAMSIZ - 1, "an interface name"},
    {"memif", LINK_MEMIF, 107, "a socket path"},
    {"vhost", LINK_VHOST, 107, "a socket path"},
    {"virtio", LINK_VIRTIO, 107, "a socket path"},
    {"pci", LINK_PCI, 31, "a PCI address"},
    {"pcap", LINK_PCAP, 191, "a file"},
    {"null", LINK_NULL, 0, ""},
    {"vdev", LINK_VDEV, 191, "a DPDK device with its arguments"},
    {"rig", LINK_RIG, 63, "a rig's name"},
    {"vlan", LINK_VLAN, IFNAMSIZ - 1,
     "PARENT.ID, the name of a link's interface and 1 to 4094: vlan:tap0.10"},
};

static const struct kind_info *kind_find(const char *spec, size_t len)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strlen(kinds[i].name) == len && strncmp(kinds[i].name, spec, len) == 0)
            return &kinds[i];
    return NULL;
}

static int fail(char *err, size_t err_len, const char *spec, const char *what, const char *detail)
{
    snprintf(err, err_len, "link '%s': %s%s", spec, what, detail);
    return -EINVAL;
}

/* "198.18.0.1/24" or "fd00::1/64" */
static bool cidr_is_valid(const char *text)
{
    char addr[64], *end;
    unsigned char b[16];
    const char *slash = strchr(text, '/');
    if (!slash || (size_t)(slash - text) >= sizeof(addr) || !slash[1])
        return false;
    memcpy(addr, text, (size_t)(slash - text));
    addr[slash - text] = 0;
    long len = strtol(slash + 1, &end, 10);
    if (*end || len < 0)
        return false;
    return inet_pton(AF_INET, addr, b) == 1 ? len <= 32 : inet_pton(AF_INET6, addr, b) == 1 && len <= 128;
}

/* One OPTION=VALUE. NULL or what is wrong with it. */
static const char *option_set(struct link_spec *l, const char *opt)
{
    const char *val = strchr(opt, '=');
    if (!val)
        return "an option is NAME=VALUE: ";
    size_t len = (size_t)(val++ - opt);
    if (l->kind == LINK_TAP && len == 4 && strncmp(opt, "host", 4) == 0) {
        if (!cidr_is_valid(val) || strlen(val) >= sizeof(l->host_cidr))
            return "host= takes an address with a prefix length: ";
        strcpy(l->host_cidr, val);
        return NULL;
    }
    if (l->kind == LINK_TAP && len == 3 && strncmp(opt, "for", 3) == 0) {
        if (!val[0] || strlen(val) >= sizeof(l->share))
            return "for= takes the interface of a link before it, for example pci0: ";
        strcpy(l->share, val);
        return NULL;
    }
    if (l->kind == LINK_MEMIF && len == 4 && strncmp(opt, "role", 4) == 0) {
        l->server = strcmp(val, "server") == 0;
        return l->server || strcmp(val, "client") == 0 ? NULL : "role= is server or client: ";
    }
    return "no such option for this kind of link: ";
}

int link_parse(const char *spec, struct link_spec *out, char *err, size_t err_len)
{
    memset(out, 0, sizeof(*out));
    const char *colon = strchrnul(spec, ':');
    const struct kind_info *k = kind_find(spec, (size_t)(colon - spec));
    if (!k)
        return fail(err, err_len, spec,
                    "unknown kind; known are tap, packet, xdp, memif, vhost, virtio, pci, ",
                    "pcap, null, vdev, rig");
    out->kind = k->kind;
    const char *target = *colon ? colon + 1 : "";
    /* A raw device's arguments have commas of their own. */
    size_t len = k->kind == LINK_VDEV ? strlen(target) : strcspn(target, ",");
    if (k->target_max && (len == 0 || len > k->target_max))
        return fail(err, err_len, spec, len ? "too long: it takes " : "it takes ", k->what);
    if (!k->target_max && len)
        return fail(err, err_len, spec, "takes no target", "");
    if (len >= sizeof(out->target))
        return fail(err, err_len, spec, "too long", "");
    memcpy(out->target, target, len);
    out->target[len] = 0;
    for (const char *p = target + len; *p == ',';) {
        char opt[128];
        size_t n = strcspn(++p, ",");
        if (n >= sizeof(opt))
            return fail(err, err_len, spec, "an option is too long", "");
        memcpy(opt, p, n);
        opt[n] = 0;
        const char *wrong = option_set(out, opt);
        if (wrong)
            return fail(err, err_len, spec, wrong, opt);
        p += n;
    }
    return 0;
}
