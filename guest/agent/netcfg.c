/* lo with the metadata service's address, and eth0: by ioctl, since the kernel has no IP_PNP. */
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ETH0_PATIENCE_MS = 3000 };

static void put_address(struct sockaddr *out, struct in_addr address) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = address};
    memcpy(out, &in, sizeof in);
}

static struct in_addr mask_of(int prefix) {
    return (struct in_addr){htonl(prefix == 0 ? 0 : 0xffffffffu << (32 - prefix))};
}

static bool set_address(int fd, const char *name, struct in_addr address, int prefix) {
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    put_address(&request.ifr_addr, address);
    if (ioctl(fd, SIOCSIFADDR, &request) != 0)
        return false;
    put_address(&request.ifr_netmask, mask_of(prefix));
    return ioctl(fd, SIOCSIFNETMASK, &request) == 0;
}

static bool set_up(int fd, const char *name) {
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0)
        return false;
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

static bool set_gateway(int fd, struct in_addr gateway) {
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    put_address(&route.rt_gateway, gateway);
    put_address(&route.rt_dst, (struct in_addr){0});
    put_address(&route.rt_genmask, (struct in_addr){0});
    return ioctl(fd, SIOCADDRT, &route) == 0;
}

bool net_loopback(void) {
    struct in_addr metadata;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, METADATA_ADDRESS, &metadata);
    bool done = fd >= 0 && set_up(fd, "lo") && set_address(fd, "lo:0", metadata, 32);
    if (fd >= 0)
        close(fd);
    return done;
}

bool net_eth0(const struct arguments *arguments, char problem[160]) {
    if (arguments->address.s_addr == 0)
        return true;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool done = false;
    for (int waited = 0; fd >= 0 && !done && waited <= ETH0_PATIENCE_MS; waited += 2) {
        done = set_address(fd, "eth0", arguments->address, arguments->prefix);
        if (!done && errno != ENODEV)
            break;
        if (!done)
            sleep_ms(2);
    }
    done = done && set_up(fd, "eth0") &&
           (arguments->gateway.s_addr == 0 || set_gateway(fd, arguments->gateway));
    if (!done)
        snprintf(problem, 160, "eth0 can't be set up: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return done;
}
