/* The one loop: control channel, signals, the function's output, the metadata service, timers. */
#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_INTERVAL_MS = 10, DRAIN_MS = 1000, KILLED_MS = 2000 };

static enum { WAITING, STARTING, READY, ENDING } state;
static const char *const state_names[] = {"waiting", "starting", "ready", "ending"};

struct order loop_order;

static struct arguments arguments;
static const char *root;
static bool real; /* this is the guest's own PID 1 */
static struct function function;
static struct stream out = {.fd = -1}, err = {.fd = -1};
static int64_t ready_at = INT64_MAX, kill_at = INT64_MAX, give_up_at = INT64_MAX;
static bool told_loopback;

/* ---- the end ---- */

/* Gives the host a moment to take what is still to be said. */
static void push_out(int64_t until) {
    for (;;) {
        channel_refresh();
        channel_flush();
        if (!channel_pending() || now_ms() >= until)
            return;
        struct pollfd poller = {channel_fd(), POLLOUT, 0};
        poll(&poller, 1, 10);
    }
}

static void end(const char *reason, int code, int number, const char *detail) __attribute__((noreturn));
static void end(const char *reason, int code, int number, const char *detail) {
    char quoted[400], message[700], code_text[12] = "null", signal_text[12] = "null";
    if (code >= 0)
        snprintf(code_text, sizeof code_text, "%d", code);
    if (number > 0)
        snprintf(signal_text, sizeof signal_text, "%d", number);
    json_quote(detail, quoted, sizeof quoted);
    int length = snprintf(message, sizeof message, "{\"reason\":\"%s\",\"code\":%s,\"signal\":%s,\"detail\":%s}",
                          reason, code_text, signal_text, quoted);
    push_out(now_ms() + DRAIN_MS / 2);
    channel_send('E', message, (size_t)length);
    push_out(now_ms() + DRAIN_MS / 2);
    if (!real)
        exit(0);
    sleep_ms(5); /* under KVM the host takes what was sent in another thread */
    boot_reboot();
}

void loop_fail(const char *reason, const char *detail) {
    say("%s", detail);
    end(reason, -1, 0, detail);
}

/* What the function still had in its pipes goes out before the reason does. */
static void drain(void) {
    int64_t until = now_ms() + DRAIN_MS;
    struct pollfd pollers[2];
    do {
        int64_t now = now_ms();
        stream_read(&out, now);
        stream_read(&err, now);
        channel_flush();
        pollers[0] = (struct pollfd){out.fd, POLLIN, 0};
        pollers[1] = (struct pollfd){err.fd, POLLIN, 0};
    } while (now_ms() < until && poll(pollers, 2, 0) > 0);
    stream_flush(&out);
    stream_flush(&err);
}

/* How runtimes give up by themselves: an abort or a trap, or a shell's word for one. */
static bool gave_up(int status) {
    int number = WIFEXITED(status) ? WEXITSTATUS(status) - 128 : WTERMSIG(status);
    return number == SIGABRT || number == SIGTRAP || number == SIGILL;
}

static void function_ended(int status) {
    char detail[200];
    bool starved = oom_kill_count() > function.oom_kills;
    drain();
    if (gave_up(status) && output_tells_starved())
        end("out_of_memory", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            WIFEXITED(status) ? 0 : WTERMSIG(status), "the function gave up for lack of memory");
    if (WIFEXITED(status)) {
        snprintf(detail, sizeof detail, "the function exited with code %d%s%s", WEXITSTATUS(status),
                 state == STARTING ? " before it listened on its port" : "",
                 starved ? "; the kernel had killed a process of it for lack of memory" : "");
        end("exited", WEXITSTATUS(status), 0, detail);
    }
    int number = WTERMSIG(status);
    if (number == SIGKILL && starved)
        end("out_of_memory", -1, number, "the kernel killed the function: the machine's memory was full");
    snprintf(detail, sizeof detail, "the function was killed by %s", signal_name(number));
    end("exited", -1, number, detail);
}

static void reap(void) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == function.pid)
            function_ended(status);
}

/* ---- what the host says ---- */

static void start(struct text json) {
    char problem[160];
    if (state != WAITING) {
        channel_say("a second metadata frame is ignored");
        return;
    }
    if (!order_parse(json, &loop_order, problem))
        loop_fail("boot_failed", problem);
    if (strcmp(loop_order.token, arguments.token) != 0)
        loop_fail("token_mismatch", arguments.token[0]
                                        ? "the metadata's token does not match the kernel argument aether_token"
                                        : "there is no kernel argument aether_token to check the metadata by");
    if (real && sethostname(loop_order.instance_id, strnlen(loop_order.instance_id, 64)) != 0)
        channel_say("the host name can't be set: %s", strerror(errno));
    if (loop_order.port == METADATA_PORT)
        channel_say("no metadata service: the function has its port");
    else if (!metadata_listen())
        loop_fail("boot_failed", "the metadata service can't listen on " METADATA_ADDRESS);
    if (!function_start(&loop_order, root, &function, problem))
        loop_fail("boot_failed", problem);
    stream_open(&out, function.out, '1');
    stream_open(&err, function.err, '2');
    state = STARTING;
    ready_at = now_ms();
}

static void identity(struct text json) {
    char problem[160];
    if (state == WAITING)
        channel_say("an identity before the metadata is ignored");
    else if (!order_identity(&loop_order, json, problem))
        channel_say("%s", problem);
    else
        channel_send('K', "", 0);
}

static void terminate(struct text grace, int64_t now) {
    int64_t ms;
    if (!json_integer(grace, &ms) || ms < 0 || ms > 86400000)
        ms = 0;
    if (!function.pid)
        end("exited", -1, 0, "ended before there was a function");
    state = ENDING;
    ready_at = INT64_MAX;
    kill(-function.pid, SIGTERM);
    kill_at = now + ms < kill_at ? now + ms : kill_at;
}

static void status(void) {
    char instance[300] = "null", function_id[300] = "null", message[700];
    if (loop_order.instance_id) {
        json_quote(loop_order.instance_id, instance, sizeof instance);
        json_quote(loop_order.function_id, function_id, sizeof function_id);
    }
    int length =
        snprintf(message, sizeof message,
                 "{\"protocol\":1,\"state\":\"%s\",\"instance_id\":%s,\"function_id\":%s,\"port\":%u}",
                 state_names[state], instance, function_id, loop_order.port);
    channel_send('S', message, (size_t)length);
}

static void hello(void) {
    char message[128];
    int length = snprintf(message, sizeof message,
                          "{\"protocol\":1,\"agent\":\"" AGENT_VERSION "\",\"uptime_ms\":%lld}",
                          (long long)uptime_ms());
    channel_send('H', message, (size_t)length);
}

static void hear(int64_t now) {
    struct frame frame;
    if (channel_refresh() && state == WAITING)
        hello();
    while (channel_connected() && channel_next(&frame)) {
        switch (frame.type) {
        case 'M':
            start(frame.payload);
            break;
        case 'I':
            identity(frame.payload);
            break;
        case 'T':
            terminate(frame.payload, now);
            break;
        case 'P':
            channel_send('Q', frame.payload.at, frame.payload.length <= 64 ? frame.payload.length : 64);
            break;
        default:
            status();
        }
    }
    if (channel_refresh() && state == WAITING)
        hello();
}

/* ---- timers ---- */

static void look_for_listener(int64_t now) {
    char message[64];
    switch (listening_on(loop_order.port, arguments.address)) {
    case LISTENS:
        state = READY;
        ready_at = INT64_MAX;
        snprintf(message, sizeof message, "{\"uptime_ms\":%lld}", (long long)uptime_ms());
        channel_send('R', message, strlen(message));
        return;
    case LISTENS_LOOPBACK:
        if (!told_loopback)
            channel_say("the function listens on the loopback address only, where nobody can reach it: "
                        "let it listen on 0.0.0.0:%u",
                        loop_order.port);
        told_loopback = true;
        break;
    case LISTENS_NOT:
        break;
    }
    ready_at = now + READY_INTERVAL_MS;
}

static void timers(int64_t now) {
    if (now >= ready_at)
        look_for_listener(now);
    if (now >= stream_deadline(&out))
        stream_flush(&out);
    if (now >= stream_deadline(&err))
        stream_flush(&err);
    channel_expire(now);
    for (int slot = 0; slot < METADATA_CONNECTIONS; slot++)
        if (now >= metadata_deadline(slot))
            metadata_serve(slot, now);
    if (now >= kill_at) {
        kill(-function.pid, SIGKILL);
        kill_at = INT64_MAX;
        give_up_at = now + KILLED_MS;
    }
    if (now >= give_up_at)
        end("exited", -1, SIGKILL, "the function did not end even by SIGKILL");
}

static int wait_ms(int64_t now) {
    int64_t next = ready_at;
    int64_t others[] = {stream_deadline(&out), stream_deadline(&err), channel_deadline(), kill_at, give_up_at};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        next = others[i] < next ? others[i] : next;
    for (int slot = 0; slot < METADATA_CONNECTIONS; slot++)
        next = metadata_deadline(slot) < next ? metadata_deadline(slot) : next;
    if (next == INT64_MAX)
        return -1;
    return next <= now ? 0 : next - now > 60000 ? 60000 : (int)(next - now);
}

/* ---- what to wait for ---- */

enum { CONTROL, LISTENER, SIGNALS, OUT, ERR, METADATA, CONNECTIONS, TAGS = CONNECTIONS + METADATA_CONNECTIONS };

static int poller;
static struct {
    int fd;
    uint32_t events;
} watched[TAGS];

/* Registers only what has changed. No events: not watched. */
static void watch(int tag, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u32 = (uint32_t)tag};
    uint32_t before = watched[tag].events;
    if (fd < 0)
        events = 0;
    if (before && (events == 0 || watched[tag].fd != fd)) {
        epoll_ctl(poller, EPOLL_CTL_DEL, watched[tag].fd, NULL);
        before = 0;
    }
    if (events && events != before)
        epoll_ctl(poller, before ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    watched[tag].fd = fd;
    watched[tag].events = events;
}

/* The port is watched for edges, since a host that is away would be reported without end. */
static void watch_all(void) {
    bool speak = !channel_connected() || channel_pending();
    bool room = channel_has_room();
    watch(CONTROL, channel_fd(), EPOLLIN | EPOLLET | (speak ? EPOLLOUT : 0));
    watch(LISTENER, channel_listener(), EPOLLIN);
    watch(OUT, out.fd, room ? EPOLLIN : 0);
    watch(ERR, err.fd, room ? EPOLLIN : 0);
    watch(METADATA, metadata_listener(), EPOLLIN);
    for (int slot = 0; slot < METADATA_CONNECTIONS; slot++)
        watch(CONNECTIONS + slot, metadata_fd(slot), metadata_wants_write(slot) ? EPOLLOUT : EPOLLIN);
}

static void happened(int tag, int64_t now) {
    struct signalfd_siginfo info;
    if (tag == LISTENER)
        channel_accept();
    else if (tag == SIGNALS)
        while (read(watched[SIGNALS].fd, &info, sizeof info) > 0)
            ;
    else if (tag == OUT)
        stream_read(&out, now);
    else if (tag == ERR)
        stream_read(&err, now);
    else if (tag == METADATA)
        metadata_accept(now);
    else if (tag >= CONNECTIONS)
        metadata_serve(tag - CONNECTIONS, now);
}

void loop_prepare(bool is_real) { real = is_real; }

void loop_greet(void) {
    if (channel_refresh())
        hello();
    channel_flush();
}

void loop_run(const struct arguments *taken, const char *function_root) {
    struct epoll_event events[16];
    sigset_t child;
    arguments = *taken;
    root = function_root;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(SIGNALS, signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC), EPOLLIN);
    for (;;) {
        hear(now_ms());
        reap();
        timers(now_ms());
        channel_flush();
        watch_all();
        int count = epoll_wait(poller, events, 16, wait_ms(now_ms()));
        int64_t now = now_ms();
        for (int i = 0; i < count; i++)
            happened((int)events[i].data.u32, now);
    }
}
