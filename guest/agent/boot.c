/* From the kernel's first instruction of ours to the function's root as `/`. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEVICE_PATIENCE_MS = 5000 };

static bool fail(char problem[160], const char *what, const char *where) {
    snprintf(problem, 160, "%s %s: %s", what, where, strerror(errno));
    return false;
}

static bool mount_at(const char *type, const char *source, const char *where, unsigned long flags,
                     const char *options) {
    mkdir(where, 0755);
    return mount(source, where, type, flags, options) == 0;
}

static void load_module(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST))
        say("module %s is not loaded: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    unlink(path); /* its memory is the function's now */
}

/* In the list's order. A kernel with all of it built in has an empty list, or none. */
static void load_modules(void) {
    char list[4096];
    if (read_file("/modules.list", list, sizeof list) < 0)
        return;
    for (char *rest = list, *path; (path = strsep(&rest, "\n"));)
        if (*path)
            load_module(path);
}

bool boot_early(char problem[160]) {
    umask(0);
    if (!mount_at("devtmpfs", "dev", "/dev", MS_NOSUID | MS_NOEXEC, "mode=0755") && errno != EBUSY)
        return fail(problem, "cannot mount", "/dev");
    int console = open("/dev/console", O_RDWR | O_NOCTTY);
    for (int fd = 0; console >= 0 && fd <= 2; fd++)
        dup2(console, fd);
    if (console > 2)
        close(console);
    if (!mount_at("proc", "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
        return fail(problem, "cannot mount", "/proc");
    if (!mount_at("sysfs", "sys", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
        return fail(problem, "cannot mount", "/sys");
    write_file("/proc/self/oom_score_adj", "-1000");
    load_modules();
    return true;
}

static bool wait_for(const char *device) {
    for (int waited = 0; access(device, F_OK) != 0; waited++) {
        if (waited >= DEVICE_PATIENCE_MS)
            return false;
        sleep_ms(1);
    }
    return true;
}

/* The root's files below, a memory filesystem above. A kernel without overlayfs gets the root as it is. */
static bool mount_root(unsigned rw_mib, char problem[160]) {
    char size[32] = "mode=0755";
    if (rw_mib)
        snprintf(size, sizeof size, "mode=0755,size=%um", rw_mib);
    if (!wait_for("/dev/vda") || !mount_at("ext4", "/dev/vda", "/lower", MS_RDONLY | MS_NODEV, NULL))
        return fail(problem, "cannot mount the runtime's root from", "/dev/vda");
    if (!mount_at("tmpfs", "rw", "/rw", MS_NODEV, size))
        return fail(problem, "cannot mount", "/rw");
    mkdir("/rw/upper", 0755);
    mkdir("/rw/work", 0755);
    if (mount_at("overlay", "root", "/newroot", MS_NODEV, "lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work"))
        return true;
    if (errno != ENODEV)
        return fail(problem, "cannot mount the writable layer on", "/newroot");
    say("this kernel has no overlayfs: the root stays read-only, but for /tmp");
    if (mount("/lower", "/newroot", NULL, MS_MOVE, NULL) != 0 ||
        mount("/rw", "/newroot/tmp", NULL, MS_MOVE, NULL) != 0)
        return fail(problem, "cannot mount", "/newroot");
    return true;
}

static bool mount_inside(char problem[160]) {
    const unsigned long quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (!mount_at("proc", "proc", "/newroot/proc", quiet, NULL))
        return fail(problem, "cannot mount", "/proc");
    if (!mount_at("sysfs", "sys", "/newroot/sys", quiet | MS_RDONLY, NULL))
        return fail(problem, "cannot mount", "/sys");
    mkdir("/newroot/dev", 0755);
    if (mount("/dev", "/newroot/dev", NULL, MS_MOVE, NULL) != 0)
        return fail(problem, "cannot move", "/dev");
    mount_at("devpts", "devpts", "/newroot/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666");
    mount_at("tmpfs", "shm", "/newroot/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
    (void)!symlink("/proc/self/fd", "/newroot/dev/fd");
    (void)!symlink("/proc/self/fd/0", "/newroot/dev/stdin");
    (void)!symlink("/proc/self/fd/1", "/newroot/dev/stdout");
    (void)!symlink("/proc/self/fd/2", "/newroot/dev/stderr");
    mkdir("/newroot/tmp", 01777);
    chmod("/newroot/tmp", 01777);
    mkdir("/newroot/code", 0755);
    if (!wait_for("/newroot/dev/vdb") ||
        !mount_at("ext4", "/newroot/dev/vdb", "/newroot/code", MS_RDONLY | MS_NOSUID | MS_NODEV, NULL))
        return fail(problem, "cannot mount the code from", "/dev/vdb");
    return true;
}

/* `aether-env` for roots that bring none: a copy of this program. */
static void put_aether_env(void) {
    static const char target[] = "/newroot/usr/bin/aether-env";
    char block[32768];
    struct stat there;
    ssize_t n;
    if (lstat(target, &there) == 0)
        return;
    int from = open("/init", O_RDONLY | O_CLOEXEC);
    int to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    while (from >= 0 && to >= 0 && (n = read(from, block, sizeof block)) > 0)
        write_all(to, block, (size_t)n);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
}

bool boot_root(const struct arguments *arguments, char problem[160]) {
    if (!mount_root(arguments->rw_mib, problem) || !mount_inside(problem))
        return false;
    put_aether_env();
    write_file("/newroot/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    unlink("/init"); /* the initramfs is memory too */
    if (chdir("/newroot") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 ||
        chdir("/") != 0)
        return fail(problem, "cannot switch to", "the root");
    return true;
}

void boot_reboot(void) {
    sync();
    reboot(RB_AUTOBOOT);
    say("reboot failed: %s", strerror(errno));
    _exit(1); /* the kernel panics, and reboots by panic=-1 */
}
