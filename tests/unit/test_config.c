/* test_config.c: the environment (preload/engine/config.c): what is taken, and that each bad value is refused
 * with one line that names the variable. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../preload/engine/config.h"
#include "../../stack/route.h"
#include "../../stack/log.h"

static char said[4096]; /* all lines of the log */
static struct config cfg;

static void sink(const char *line, size_t len)
{
    strncat(said, line, len < sizeof said - strlen(said) - 1 ? len : sizeof said - strlen(said) - 1);
}

static void setup(void)
{
    clearenv();
    said[0] = '\0';
    log_set_sink(sink);
}

TestSuite(config, .init = setup);

/* Sets pairs of name and value up to a NULL, and reads. */
static int read_with(const char *name, ...)
{
    va_list ap;

    va_start(ap, name);
    for (; name; name = va_arg(ap, const char *))
        setenv(name, va_arg(ap, const char *), 1);
    va_end(ap);
    return config_read(&cfg);
}

/* A value is refused, in one line that starts "shunt: " and has text in it. */
static void refused(int rc, const char *text)
{
    cr_assert_eq(rc, -EINVAL);
    cr_assert_eq(strncmp(said, "shunt: ", 7), 0, "said: %s", said);
    cr_assert_not_null(strstr(said, text), "said: %s", said);
    cr_assert_eq(strchr(said, '\n'), said + strlen(said) - 1, "more than one line: %s", said);
}

static struct ipaddr v4(const char *text)
{
    return ipaddr_v4(inet_addr(text));
}

Test(config, nothing_asked_for_is_refused)
{
    refused(read_with(NULL), "no link");
}

Test(config, isolate_needs_no_link)
{
    cr_assert_eq(read_with("SHUNT_PROFILE", "isolate", NULL), 0);
    cr_assert_eq(cfg.profile, PROFILE_ISOLATE);
    cr_assert_eq(cfg.nlinks, 0);
    cr_assert_str_empty(said);
}

Test(config, name_is_the_programs_when_not_given)
{
    cr_assert_eq(read_with("SHUNT_PROFILE", "isolate", NULL), 0);
    cr_assert_not(cfg.name_given);
    cr_assert_str_eq(cfg.name, program_invocation_short_name);
}

Test(config, given_name)
{
    cr_assert_eq(read_with("SHUNT_PROFILE", "isolate", "SHUNT_NAME", "web-1", NULL), 0);
    cr_assert(cfg.name_given);
    cr_assert_str_eq(cfg.name, "web-1");
}

Test(config, name_with_a_slash)
{
    refused(read_with("SHUNT_PROFILE", "isolate", "SHUNT_NAME", "../etc", NULL), "SHUNT_NAME");
}

Test(config, one_link_one_address)
{
    struct ipaddr a = v4("198.18.0.2");

    cr_assert_eq(read_with("SHUNT_LINK", "tap:s0,host=198.18.0.1/24", "SHUNT_ADDR", "198.18.0.2/24", NULL),
                 0);
    cr_assert_eq(cfg.nlinks, 1);
    cr_assert_eq(cfg.spec[0].kind, LINK_TAP);
    cr_assert_str_eq(cfg.link[0].text, "tap:s0,host=198.18.0.1/24");
    cr_assert_eq(cfg.link[0].naddr, 1);
    cr_assert(ipaddr_eq(&cfg.link[0].addr[0].addr, &a));
    cr_assert_eq(cfg.link[0].addr[0].prefix_len, 24);
}

Test(config, addresses_belong_to_links_by_group)
{
    struct ipaddr a = v4("198.19.0.2"), b = v4("198.18.0.77"), c = v4("198.19.0.77"), d = v4("198.20.0.1");

    cr_assert_eq(read_with("SHUNT_LINK", "tap:s0; tap:s1", "SHUNT_ADDR",
                           "198.18.0.2/24,198.18.0.3/24 ; 198.19.0.2/24", NULL),
                 0);
    cr_assert_eq(cfg.link[0].naddr, 2);
    cr_assert_eq(cfg.link[1].naddr, 1);
    cr_assert(ipaddr_eq(&cfg.link[1].addr[0].addr, &a));
    cr_assert_eq(config_link_of(&cfg, &b), 0);
    cr_assert_eq(config_link_of(&cfg, &c), 1);
    cr_assert_eq(config_link_of(&cfg, &d), -1);
}

Test(config, link_without_address)
{
    refused(read_with("SHUNT_LINK", "tap:s0;tap:s1", "SHUNT_ADDR", "198.18.0.2/24", NULL),
            "tap:s1 has no address");
}

Test(config, address_group_without_link)
{
    refused(read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "198.18.0.2/24;198.19.0.2/24", NULL),
            "198.19.0.2");
}

Test(config, bad_addresses)
{
    static const char *const bad[] = {"198.18.0.2",  "198.18.0.2/33", "198.18.0.2/x",
                                      "hello/24",    "224.0.0.1/24",  "0.0.0.0/8",
                                      "127.0.0.1/8", "fd00::1/129",   "198.18.0.2/24 198.18.0.2/24",
                                      "fd00::1",     "ff02::1/64",    "::1/128"};

    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        said[0] = '\0';
        refused(read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", bad[i], NULL), "SHUNT_ADDR");
    }
}

Test(config, dhcp_is_of_a_link)
{
    cr_assert_eq(
        read_with("SHUNT_LINK", "tap:s0;tap:s1", "SHUNT_ADDR", "198.18.0.2/24; dhcp 198.19.0.2/24", NULL), 0);
    cr_assert(!cfg.link[0].dhcp);
    cr_assert(cfg.link[1].dhcp);
    cr_assert_eq(cfg.link[1].naddr, 1);
}

Test(config, dhcp_twice_or_without_link)
{
    refused(read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "dhcp dhcp", NULL), "twice");
    clearenv();
    said[0] = '\0';
    refused(read_with("SHUNT_PROFILE", "isolate", "SHUNT_ADDR", "dhcp", NULL), "SHUNT_LINK");
}

Test(config, gateway_and_routes)
{
    struct ipaddr via = v4("198.18.0.9");

    cr_assert_eq(read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "198.18.0.2/24", "SHUNT_GATEWAY",
                           "198.18.0.1", "SHUNT_ROUTE",
                           "198.51.100.0/24 via 198.18.0.9; default via 198.18.0.8", NULL),
                 0);
    cr_assert_eq(cfg.nroutes, 3);
    cr_assert_eq(cfg.route[0].prefix_len, 0);
    cr_assert_eq(cfg.route[1].prefix_len, 24);
    cr_assert(ipaddr_eq(&cfg.route[1].via, &via));
}

Test(config, ipv6_addresses_gateways_and_routes)
{
    cr_assert_eq(read_with("SHUNT_LINK", "tap:s0;tap:s1", "SHUNT_ADDR", "2001:db8::2/64;198.18.0.2/24",
                           "SHUNT_GATEWAY", "198.18.0.1 fe80::1", "SHUNT_ROUTE",
                           "2001:db8:9::/48 via 2001:db8::9; 2001:db8:8::/48 via fe80::2%2", NULL),
                 0);
    cr_assert_eq(cfg.nroutes, 4);
    cr_assert(ipaddr_is_v4(&cfg.route[0].net));
    cr_assert(ipaddr_is_any(&cfg.route[1].net) && !ipaddr_is_v4(&cfg.route[1].net));
    cr_assert_eq(config_link_of(&cfg, &cfg.route[1].via), 0, "the first link");
    cr_assert_eq(cfg.route[2].prefix_len, 48);
    cr_assert_eq(config_link_of(&cfg, &cfg.route[2].via), 0);
    cr_assert_eq(config_link_of(&cfg, &cfg.route[3].via), 1, "the second link");
    cr_assert_eq(ipaddr_zone(&cfg.route[3].via), 3);
}

Test(config, bad_ipv6_gateways)
{
    static const char *const bad[] = {"fe80::1%2", "fe80::1%x", "2001:db8::1%1",          "2001:db8:1::1",
                                      "::",        "x",         "2001:db8::1 2001:db8::9"};

    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        clearenv();
        said[0] = '\0';
        refused(
            read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "2001:db8::2/64", "SHUNT_GATEWAY", bad[i], NULL),
            "SHUNT_GATEWAY");
    }
    clearenv();
    said[0] = '\0';
    refused(read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "2001:db8::2/64", "SHUNT_ROUTE",
                      "198.18.0.0/24 via 2001:db8::1", NULL),
            "SHUNT_ROUTE");
}

Test(config, gateway_off_link)
{
    refused(
        read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "198.18.0.2/24", "SHUNT_GATEWAY", "198.19.0.1", NULL),
        "SHUNT_GATEWAY");
}

Test(config, bad_route)
{
    refused(read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "198.18.0.2/24", "SHUNT_ROUTE", "198.51.100.0/24",
                      NULL),
            "SHUNT_ROUTE");
}

Test(config, mac_given_is_kept)
{
    static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 0x17};

    cr_assert_eq(read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "198.18.0.2/24", "SHUNT_MAC",
                           "02:00:00:00:00:17", NULL),
                 0);
    config_derive_macs(&cfg);
    cr_assert_eq(memcmp(cfg.spec[0].mac, mac, 6), 0);
}

Test(config, bad_macs)
{
    static const char *const bad[] = {"02:00:00:00:00", "03:00:00:00:00:01", "00:00:00:00:00:00",
                                      "0x:0:0:0:0:0", "hi"};

    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        said[0] = '\0';
        refused(read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "198.18.0.2/24", "SHUNT_MAC", bad[i], NULL),
                "SHUNT_MAC");
    }
}

Test(config, derived_mac_is_stable_and_local)
{
    uint8_t first[6];

    cr_assert_eq(read_with("SHUNT_LINK", "tap:s0;tap:s1", "SHUNT_ADDR", "198.18.0.2/24;198.19.0.2/24",
                           "SHUNT_NAME", "a", NULL),
                 0);
    config_derive_macs(&cfg);
    memcpy(first, cfg.spec[0].mac, 6);
    cr_assert_eq(first[0] & 3, 2);
    cr_assert_neq(memcmp(first, cfg.spec[1].mac, 6), 0);
    cr_assert_eq(config_read(&cfg), 0);
    config_derive_macs(&cfg);
    cr_assert_eq(memcmp(first, cfg.spec[0].mac, 6), 0);
    setenv("SHUNT_NAME", "b", 1);
    cr_assert_eq(config_read(&cfg), 0);
    config_derive_macs(&cfg);
    cr_assert_neq(memcmp(first, cfg.spec[0].mac, 6), 0);
}

Test(config, tunables_by_upper_case_name)
{
    cr_assert_eq(read_with("SHUNT_PROFILE", "isolate", "SHUNT_TCP_FIN_TIMEOUT", "7", "SHUNT_TCP_RMEM",
                           "4096 65536 131072", "SHUNT_TCP_CONGESTION_CONTROL", "reno", NULL),
                 0);
    cr_assert_eq(cfg.set.tcp_fin_timeout, 7);
    cr_assert_eq(cfg.set.tcp_rmem_max, 131072);
    cr_assert_eq(cfg.set.tcp_congestion_control, 1);
    cr_assert_str_empty(said);
}

Test(config, tunable_out_of_range)
{
    refused(read_with("SHUNT_PROFILE", "isolate", "SHUNT_TCP_FIN_TIMEOUT", "0", NULL),
            "SHUNT_TCP_FIN_TIMEOUT");
}

Test(config, tunable_no_number)
{
    refused(read_with("SHUNT_PROFILE", "isolate", "SHUNT_SOMAXCONN", "many", NULL), "SHUNT_SOMAXCONN");
}

Test(config, unknown_variable_is_warned_of)
{
    cr_assert_eq(read_with("SHUNT_PROFILE", "isolate", "SHUNT_NONSENSE", "1", NULL), 0);
    cr_assert_not_null(strstr(said, "SHUNT_NONSENSE"));
}

Test(config, other_refusals)
{
    static const char *const bad[][2] = {{"SHUNT_PROFILE", "turbo"},  {"SHUNT_LOG", "loud"},
                                         {"SHUNT_MTU", "12"},         {"SHUNT_MTU", "big"},
                                         {"SHUNT_FALLBACK", "maybe"}, {"SHUNT_METRICS_PORT", "70000"}};

    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        clearenv();
        said[0] = '\0';
        refused(read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "198.18.0.2/24", bad[i][0], bad[i][1], NULL),
                bad[i][0]);
    }
}

Test(config, capture_and_flight_recorder)
{
    char path[600];

    cr_assert_eq(read_with("SHUNT_PROFILE", "isolate", "SHUNT_CAPTURE", "x-%p.pcapng",
                           "SHUNT_FLIGHT_RECORD_ON", "rst,crash", "SHUNT_FLIGHT_RECORD_DIR", "/tmp", NULL),
                 0);
    cr_assert_str_eq(cfg.capture, "x-%p.pcapng");
    cr_assert_str_eq(cfg.record_dir, "/tmp");
    cr_assert_eq(cfg.set.flight_record_on, 5);
    clearenv();
    said[0] = '\0';
    refused(read_with("SHUNT_PROFILE", "isolate", "SHUNT_FLIGHT_RECORD_ON", "rst,fire", NULL),
            "SHUNT_FLIGHT_RECORD_ON");
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    clearenv();
    said[0] = '\0';
    refused(read_with("SHUNT_PROFILE", "isolate", "SHUNT_CAPTURE", path, NULL), "SHUNT_CAPTURE");
}

Test(config, bad_link_is_named)
{
    refused(read_with("SHUNT_LINK", "tup:s0", "SHUNT_ADDR", "198.18.0.2/24", NULL), "tup:s0");
}

Test(config, routes_that_lead_nowhere)
{
    cr_assert_eq(read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "198.18.0.2/24", "SHUNT_ROUTE",
                           "unreachable 203.0.113.0/24; blackhole 2001:db8:1::/48;prohibit default", NULL),
                 0);
    cr_assert_eq(cfg.nroutes, 3);
    cr_assert_eq(cfg.route[0].kind, ROUTE_UNREACHABLE);
    cr_assert_eq(cfg.route[1].kind, ROUTE_BLACKHOLE);
    cr_assert_eq(cfg.route[1].prefix_len, 48);
    cr_assert_eq(cfg.route[2].kind, ROUTE_PROHIBIT);
    cr_assert_eq(cfg.route[2].prefix_len, 0);
    refused(read_with("SHUNT_LINK", "tap:s0", "SHUNT_ADDR", "198.18.0.2/24", "SHUNT_ROUTE",
                      "unreachable nobody", NULL),
            "SHUNT_ROUTE");
}
