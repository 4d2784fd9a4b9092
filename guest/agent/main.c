/* Aether's guest agent.

   As /init it is the guest's PID 1, and never leaves memory: it runs nothing from the root filesystem
   itself. `agent run --control PATH --root DIR --cmdline TEXT` does the same for a directory, without
   mounts or reboot. `aether-env CMD…` (or `agent env CMD…`) is the metadata's client. */
#include "agent.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PORT_PATIENCE_MS = 10000 };

static void boot(void) __attribute__((noreturn));
static void boot(void) {
    char line[8192], problem[160];
    struct arguments arguments = {0};
    bool early = boot_early(problem);
    bool port = early && channel_open_port("aether.control", PORT_PATIENCE_MS);
    loop_prepare(true);
    if (!early)
        loop_fail("boot_failed", problem);
    if (!port)
        loop_fail("boot_failed", "there is no virtio port aether.control");
    loop_greet();
    if (read_file("/proc/cmdline", line, sizeof line) < 0 || !arguments_parse(line, &arguments, problem))
        loop_fail("boot_failed", problem);
    if (!boot_root(&arguments, problem) || !net_eth0(&arguments, problem))
        loop_fail("boot_failed", problem);
    if (!net_loopback())
        loop_fail("boot_failed", "lo can't be set up");
    loop_run(&arguments, "/");
}

static int run(int count, char **values) {
    const char *control = NULL, *root = NULL, *line = "";
    char problem[160];
    struct arguments arguments;
    for (int i = 0; i + 1 < count; i += 2) {
        const char **target = !strcmp(values[i], "--control")   ? &control
                              : !strcmp(values[i], "--root")    ? &root
                              : !strcmp(values[i], "--cmdline") ? &line
                                                                : NULL;
        if (!target || count % 2) {
            control = NULL;
            break;
        }
        *target = values[i + 1];
    }
    if (!control || !root) {
        fprintf(stderr, "usage: agent run --control PATH --root DIR [--cmdline TEXT]\n");
        return 2;
    }
    if (!arguments_parse(line, &arguments, problem) || !channel_listen(control)) {
        fprintf(stderr, "agent: cannot start\n");
        return 1;
    }
    if (!net_loopback())
        say("lo can't be set up here");
    loop_prepare(false);
    loop_run(&arguments, root);
}

int main(int count, char **values) {
    const char *slash = strrchr(values[0], '/');
    const char *name = slash ? slash + 1 : values[0];
    if (strcmp(name, "aether-env") == 0)
        return env_main(values + 1);
    if (strcmp(values[0], "/init") == 0 && getpid() == 1)
        boot();
    if (count > 1 && strcmp(values[1], "env") == 0)
        return env_main(values + 2);
    if (count > 1 && strcmp(values[1], "run") == 0)
        return run(count - 2, values + 2);
    fprintf(stderr, "usage: agent run …, agent env CMD…\n");
    return 2;
}
