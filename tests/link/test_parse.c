/* test_parse.c: link specifications, right and wrong. */
#include <stdio.h>
#include <string.h>

#include "link.h"

static void good(const char *spec, enum link_kind kind, const char *target)
{
    struct link_spec l;
    char err[256];
    int rc = link_parse(spec, &l, err, sizeof(err));
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", spec, err);
    CHECK(rc == 0);
    CHECK(l.kind == kind);
    CHECK(strcmp(l.target, target) == 0);
}

/* Wrong in a way that the message names. */
static void bad(const char *spec, const char *word)
{
    struct link_spec l;
    char err[256] = "";
    CHECK(link_parse(spec, &l, err, sizeof(err)) < 0);
    if (!strstr(err, word))
        fprintf(stderr, "%s: '%s' lacks '%s'\n", spec, err, word);
    CHECK(strstr(err, word) != NULL);
    CHECK(strchr(err, '\n') == NULL);
}

int main(void)
{
    struct link_spec l;
    char err[256];
    good("tap:s0", LINK_TAP, "s0");
    good("packet:eth0", LINK_PACKET, "eth0");
    good("xdp:veth1", LINK_XDP, "veth1");
    good("memif:/tmp/m.sock", LINK_MEMIF, "/tmp/m.sock");
    good("vhost:/tmp/v.sock", LINK_VHOST, "/tmp/v.sock");
    good("virtio:/tmp/v.sock", LINK_VIRTIO, "/tmp/v.sock");
    good("pci:0000:01:00.0", LINK_PCI, "0000:01:00.0");
    good("pcap:a file.pcap", LINK_PCAP, "a file.pcap");
    good("null", LINK_NULL, "");
    good("null:", LINK_NULL, "");
    good("vdev:net_ring0,a=b,c=d", LINK_VDEV, "net_ring0,a=b,c=d");
    good("rig:lab", LINK_RIG, "lab");
    good("vlan:tap0.10", LINK_VLAN, "tap0.10");
    CHECK(link_parse("tap:s0,host=198.18.0.1/24", &l, err, sizeof(err)) == 0);
    CHECK(strcmp(l.host_cidr, "198.18.0.1/24") == 0);
    CHECK(link_parse("tap:s0,host=fd00::1/64", &l, err, sizeof(err)) == 0);
    CHECK(link_parse("memif:/m,role=server", &l, err, sizeof(err)) == 0 && l.server);
    CHECK(link_parse("memif:/m,role=client", &l, err, sizeof(err)) == 0 && !l.server);

    bad("", "unknown kind");
    bad("eth:x", "unknown kind");
    bad("tap", "interface name");
    bad("tap:", "interface name");
    bad("tap:an-interface-name-too-long", "too long");
    bad("tap:s0,host=198.18.0.1", "prefix");
    bad("tap:s0,host=198.18.0.1/33", "prefix");
    bad("tap:s0,host=198.18.0/24", "prefix");
    bad("tap:s0,color=red", "color=red");
    bad("tap:s0,", "NAME=VALUE");
    bad("memif:/m,role=boss", "role=");
    bad("packet:e0,host=1.2.3.4/8", "no such option");
    bad("null:x", "takes no target");
    return 0;
}
