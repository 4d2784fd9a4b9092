/* What to run: the `M` frame, and what an `I` frame changes of it. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { COMMAND_MAX = 256, ENVIRONMENT_MAX = 4096, ENTROPY_MAX = 512 };

static bool refuse(char problem[160], const char *what) {
    snprintf(problem, 160, "metadata: %s", what);
    return false;
}

static bool take_string(struct text object, const char *name, char **out) {
    *out = json_string(json_member(object, name));
    return *out != NULL;
}

static bool take_id(struct text object, const char *name, long *out) {
    int64_t number;
    if (!json_integer(json_member(object, name), &number) || number < 0 || number > 0x7ffffffe)
        return false;
    *out = (long)number;
    return true;
}

static bool take_command(struct text array, struct order *out) {
    struct text key, value;
    size_t cursor = 0, count = 0;
    out->command = calloc(COMMAND_MAX + 1, sizeof *out->command);
    if (!out->command || !array.at || *array.at != '[')
        return false;
    while (json_each(array, &cursor, &key, &value))
        if (count == COMMAND_MAX || !(out->command[count++] = json_string(value)))
            return false;
    return count > 0 && out->command[0][0] == '/';
}

static bool environment_add(struct order *out, size_t *count, char *name, const char *value) {
    if (!name || !value || !*name || strchr(name, '=') || *count == ENVIRONMENT_MAX)
        return false;
    return asprintf(&out->environment[(*count)++], "%s=%s", name, value) > 0;
}

static bool environment_has(const struct order *order, const char *name) {
    size_t length = strlen(name);
    for (char **entry = order->environment; *entry; entry++)
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
            return true;
    return false;
}

/* What the platform says of itself, which the function's own variables can't change. */
static bool is_platform_name(const char *name) {
    static const char *const names[] = {"PORT", "AETHER_FUNCTION", "AETHER_INSTANCE", "AETHER_ENTRYPOINT"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool take_environment(struct text metadata, struct order *out) {
    struct text env = json_member(metadata, "env"), key, value;
    size_t cursor = 0, count = 0;
    bool good = true;
    out->environment = calloc(ENVIRONMENT_MAX + 8, sizeof *out->environment);
    if (!out->environment || (env.at && *env.at != '{'))
        return false;
    while (good && json_each(env, &cursor, &key, &value)) {
        char *name = json_string(key), *content = json_string(value);
        good = name && content && (is_platform_name(name) || environment_add(out, &count, name, content));
        free(name);
        free(content);
    }
    char number[8];
    char *entrypoint = json_string(json_member(metadata, "entrypoint"));
    snprintf(number, sizeof number, "%u", out->port);
    good = good && environment_add(out, &count, "PORT", number) &&
           environment_add(out, &count, "AETHER_FUNCTION", out->function_id) &&
           environment_add(out, &count, "AETHER_INSTANCE", out->instance_id) &&
           environment_add(out, &count, "AETHER_ENTRYPOINT", entrypoint ? entrypoint : "");
    free(entrypoint);
    if (good && !environment_has(out, "HOME"))
        good = environment_add(out, &count, "HOME", "/tmp");
    if (good && !environment_has(out, "PATH"))
        good = environment_add(out, &count, "PATH",
                               "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    return good;
}

/* The metadata's members but those that we put before them ourselves. */
static bool take_members(struct text metadata, struct order *out) {
    struct text key, value;
    size_t cursor = 0, length = 0;
    out->members = malloc(2 * metadata.length + 2);
    while (out->members && json_each(metadata, &cursor, &key, &value)) {
        char *name = json_string(key);
        bool ours = !name || !strcmp(name, "token") || !strcmp(name, "instance_id") ||
                    !strcmp(name, "function_id");
        free(name);
        if (!ours)
            length += (size_t)sprintf(out->members + length, ",%.*s:%.*s", (int)key.length, key.at,
                                      (int)value.length, value.at);
    }
    if (out->members)
        strcpy(out->members + length, "}");
    return out->members != NULL;
}

bool order_parse(struct text json, struct order *out, char problem[160]) {
    memset(out, 0, sizeof *out);
    if (!json_valid(json))
        return refuse(problem, "no valid JSON");
    struct text metadata = json_member(json, "metadata");
    long user, group, port;
    if (!metadata.at || *metadata.at != '{')
        return refuse(problem, "no object `metadata`");
    if (!take_string(metadata, "token", &out->token))
        return refuse(problem, "no string `token`");
    if (!take_id(metadata, "port", &port) || port < 1 || port > 65535)
        return refuse(problem, "no `port` from 1 to 65535");
    if (!take_id(json, "user", &user) || !take_id(json, "group", &group))
        return refuse(problem, "no numeric `user` and `group`");
    if (!take_string(json, "instance_id", &out->instance_id) ||
        !take_string(json, "function_id", &out->function_id))
        return refuse(problem, "no strings `instance_id` and `function_id`");
    out->user = (uid_t)user;
    out->group = (gid_t)group;
    out->port = (uint16_t)port;
    if (!take_command(json_member(json, "command"), out))
        return refuse(problem, "`command` is no list of strings that starts with an absolute path");
    if (!take_environment(metadata, out))
        return refuse(problem, "`env` holds something that can't be an environment variable");
    if (!take_members(metadata, out))
        return refuse(problem, "out of memory");
    return true;
}

void order_free(struct order *order) {
    for (char **p = order->command; p && *p; p++)
        free(*p);
    for (char **p = order->environment; p && *p; p++)
        free(*p);
    free(order->command);
    free(order->environment);
    free(order->instance_id);
    free(order->function_id);
    free(order->token);
    free(order->members);
    memset(order, 0, sizeof *order);
}

void order_document(const struct order *order, char head[1024], struct text *tail) {
    char token[300], instance[300], function[300];
    json_quote(order->token, token, sizeof token);
    json_quote(order->instance_id, instance, sizeof instance);
    json_quote(order->function_id, function, sizeof function);
    snprintf(head, 1024, "{\"token\":%s,\"instance_id\":%s,\"function_id\":%s", token, instance, function);
    *tail = (struct text){order->members, strlen(order->members)};
}

static bool reseed(struct text entropy) {
    struct { /* struct rand_pool_info, with its bytes */
        int entropy_count, buf_size;
        uint8_t bytes[ENTROPY_MAX];
    } pool;
    if (!entropy.at || entropy.length < 2)
        return false;
    struct text inside = {entropy.at + 1, entropy.length - 2};
    ssize_t length = base64_decode(inside, pool.bytes, sizeof pool.bytes);
    int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    pool.entropy_count = (int)length * 8;
    pool.buf_size = (int)length;
    bool done = length >= 64 && fd >= 0 && ioctl(fd, RNDADDENTROPY, &pool) == 0 &&
                ioctl(fd, RNDRESEEDCRNG) == 0;
    if (fd >= 0)
        close(fd);
    explicit_bzero(&pool, sizeof pool);
    return done;
}

bool order_identity(struct order *order, struct text json, char problem[160]) {
    char *instance, *token;
    int64_t time_ns;
    if (!json_valid(json) || !take_string(json, "instance_id", &instance))
        return refuse(problem, "an identity without `instance_id`");
    if (!take_string(json, "token", &token)) {
        free(instance);
        return refuse(problem, "an identity without `token`");
    }
    free(order->instance_id);
    free(order->token);
    order->instance_id = instance;
    order->token = token;
    sethostname(instance, strnlen(instance, 64));
    if (!json_integer(json_member(json, "time_ns"), &time_ns) || time_ns < 0)
        return refuse(problem, "an identity without `time_ns`");
    struct timespec now = {time_ns / 1000000000, time_ns % 1000000000};
    if (clock_settime(CLOCK_REALTIME, &now) != 0) {
        snprintf(problem, 160, "the clock can't be set: %s", strerror(errno));
        return false;
    }
    if (!reseed(json_member(json, "entropy"))) {
        snprintf(problem, 160, "the kernel's entropy can't be refreshed: %s", strerror(errno));
        return false;
    }
    return true;
}
