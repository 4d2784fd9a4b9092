/* The function's process: its own session, in its root, as an ordinary user. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_FILES = 65536 };

/* What the child tells before its exec, when something fails. */
struct complaint {
    int error;
    char step[48];
};

static void complain(int fd, const char *step) {
    struct complaint c = {errno, {0}};
    snprintf(c.step, sizeof c.step, "%s", step);
    write_all(fd, &c, sizeof c);
    _exit(127);
}

/* Gives up what root could do; nothing that is exec'ed later gets it back. */
static void drop_privileges(const struct order *order, int complaints) {
    if (order->user == 0 && order->group == 0)
        return;
    for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++)
        ;
    if (setgroups(0, NULL) != 0 || setresgid(order->group, order->group, order->group) != 0)
        complain(complaints, "give up its groups");
    if (setresuid(order->user, order->user, order->user) != 0)
        complain(complaints, "give up root");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        complain(complaints, "set no_new_privs");
}

/* As many as we like, or as we may. */
static void allow_files(void) {
    struct rlimit files = {OPEN_FILES, OPEN_FILES};
    if (setrlimit(RLIMIT_NOFILE, &files) == 0 || getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static void become_function(const struct order *order, const char *root, int out, int err, int complaints) {
    struct rlimit none = {0, 0};
    sigset_t nothing;
    setsid();
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    umask(022);
    int in = open("/dev/null", O_RDONLY);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        complain(complaints, "take its output");
    if (in > 2)
        close(in);
    write_file("/proc/self/oom_score_adj", "500"); /* the kernel's choice, before the agent's -1000 */
    allow_files();
    setrlimit(RLIMIT_CORE, &none);
    if (strcmp(root, "/") != 0 && chroot(root) != 0)
        complain(complaints, "enter its root");
    if (chdir("/code") != 0)
        complain(complaints, "enter /code");
    drop_privileges(order, complaints);
    execve(order->command[0], order->command, order->environment);
    complain(complaints, order->command[0]);
}

static bool open_pipes(const struct order *order, int pipes[3][2]) {
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) != 0)
            return false;
    for (int i = 0; i < 2; i++) {
        fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
        (void)!fchown(pipes[i][1], order->user, order->group); /* so that it can open /dev/stdout again */
    }
    return true;
}

long oom_kill_count(void) {
    char stat[16384];
    if (read_file("/proc/vmstat", stat, sizeof stat) < 0)
        return 0;
    const char *found = strstr(stat, "\noom_kill ");
    return found ? atol(found + 10) : 0;
}

bool function_start(const struct order *order, const char *root, struct function *out, char problem[160]) {
    int pipes[3][2]; /* output, errors, complaints */
    struct complaint complaint;
    if (!open_pipes(order, pipes)) {
        snprintf(problem, 160, "no pipe for the function: %s", strerror(errno));
        return false;
    }
    out->oom_kills = oom_kill_count();
    out->pid = fork();
    if (out->pid < 0) {
        snprintf(problem, 160, "cannot fork: %s", strerror(errno));
        return false;
    }
    if (out->pid == 0)
        become_function(order, root, pipes[0][1], pipes[1][1], pipes[2][1]);
    for (int i = 0; i < 3; i++)
        close(pipes[i][1]);
    out->out = pipes[0][0];
    out->err = pipes[1][0];
    ssize_t n = read(pipes[2][0], &complaint, sizeof complaint);
    close(pipes[2][0]);
    if (n == sizeof complaint)
        snprintf(problem, 160, "the function can't %s%.48s: %s", complaint.step[0] == '/' ? "run " : "",
                 complaint.step, strerror(complaint.error));
    return n == 0;
}
