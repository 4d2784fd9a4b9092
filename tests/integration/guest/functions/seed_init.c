/* The `/init` of a root made to the seed's recipe, which is a shell script there: the same calls. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    mkdir("/code", 0755);
    mount("/dev/vdb", "/code", "ext4", MS_RDONLY, NULL);
    if (chdir("/code") != 0)
        return 1;
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
    execl("/usr/bin/aether-env", "aether-env", "node", "handler.js", (char *)NULL);
    perror("aether-env");
    return 1;
}
