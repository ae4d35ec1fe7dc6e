/* Tries what the gateway must not be able to do, in its place: the test mounts this program over /usr/bin/framegate and
 * starts the shipped unit, so whatever refuses is the unit. One line a row: what, and "done" or the error that came
 * back. Run by root outside of the unit, with --control, it shows what the same machine does without the walls.
 *
 *     probe [--control] ALLOWED-ADDRESS OTHER-ADDRESS REPORT
 *
 * In a unit the three come from /run/framegate-probe, one a line, since the command line is the unit's. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char allowed[64], other[64], report[256], own[] = "/var/lib/framegate/probe";
static FILE *out;

/* Every row is a process of its own: what it breaks, or is killed for, is its own affair. A row returns -1 and errno
 * when refused. */
#define ROW(name, ...) \
    do { \
        fflush(out); \
        int pipe_[2]; \
        if (pipe(pipe_)) exit(9); \
        pid_t child = fork(); \
        if (child == 0) { \
            errno = 0; \
            long result = (__VA_ARGS__); \
            int said = result == -1 ? errno : 0; \
            if (write(pipe_[1], &said, sizeof said) < 0) _exit(9); \
            _exit(0); \
        } \
        int status = 0, said = -1; \
        close(pipe_[1]); \
        if (read(pipe_[0], &said, sizeof said) != sizeof said) said = -1; \
        close(pipe_[0]); \
        waitpid(child, &status, 0); \
        tell(name, said, status); \
    } while (0)

static void tell(const char *name, int said, int status) {
    if (WIFSIGNALED(status)) fprintf(out, "%s\tkilled by SIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
    else fprintf(out, "%s\t%s\n", name, said == 0 ? "done" : said == -1 ? "no word" : strerrorname_np(said));
}

static long opened(const char *path, int flags) {
    return open(path, flags | O_CLOEXEC, 0600);
}

static long entry(const char *folder) {
    char path[300];
    snprintf(path, sizeof path, "%s/framegate-probe", folder);
    long result = open(path, O_CREAT | O_WRONLY, 0600);
    if (result >= 0) unlink(path);
    return result;
}

static long reached(const char *address, int port, int kind) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    int socket_ = socket(AF_INET, kind, 0);
    struct timeval wait = {.tv_sec = 3};
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (kind == SOCK_DGRAM) return sendto(socket_, "x", 1, 0, (void *)&to, sizeof to);
    return connect(socket_, (void *)&to, sizeof to);
}

/* What listens on all addresses is asked for at the unspecified one, which is the loopback's. */
static long reached_itself(const char *address) {
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
    inet_pton(AF_INET6, address, &to.sin6_addr);
    return connect(socket(AF_INET6, SOCK_STREAM, 0), (void *)&to, sizeof to);
}

static long bound(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    return bind(socket(AF_INET, SOCK_STREAM, 0), (void *)&at, sizeof at);
}

/* exec returns only if it was refused; what did run tells by its exit status. */
static long executed(const char *path, int descriptor) {
    char *words[] = {"framegate", "--exit-seven", NULL}, *none[] = {NULL};
    pid_t child = vfork();
    if (child == 0) {
        if (descriptor >= 0) syscall(SYS_execveat, descriptor, "", words, none, AT_EMPTY_PATH);
        else execve(path, words, none);
        _exit(errno + 100);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) > 100) {
        errno = WEXITSTATUS(status) - 100;
        return -1;
    }
    return 0;
}

/* The loader may be executed, but not load a program: its exit status tells. */
static long loaded(const char *path) {
    char *words[] = {"ld.so", (char *)path, NULL}, *none[] = {NULL};
    pid_t child = vfork();
    if (child == 0) {
        execve("/lib64/ld-linux-x86-64.so.2", words, none);
        _exit(126);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    errno = EACCES;
    return -1;
}

static int copied(int to) {
    char buffer[65536];
    ssize_t count;
    int from = open("/proc/self/exe", O_RDONLY);
    while ((count = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, count) != count) exit(9);
    close(from);
    return to;
}

static const char *written(void) {
    close(copied(open(own, O_CREAT | O_TRUNC | O_WRONLY, 0700)));
    return own;
}

static long mapped(int descriptor, int protection) {
    return (long)mmap(NULL, 4096, protection, descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE, descriptor, 0);
}

static long made_executable(void) {
    return mprotect((void *)mapped(-1, PROT_READ | PROT_WRITE), 4096, PROT_READ | PROT_EXEC);
}

static long attached(void) {
    long result = (long)shmat(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0700), NULL, SHM_EXEC);
    return result;
}

/* Processes that are not of this program. */
static long others(void) {
    DIR *proc = opendir("/proc");
    for (struct dirent *each; proc && (each = readdir(proc));) {
        int pid = atoi(each->d_name);
        if (pid > 0 && pid != getpid() && pid != getppid()) return 0;
    }
    errno = ENOENT;
    return -1;
}

static long read_memory(void) {
    char here[8];
    struct { void *base; size_t length; } local = {here, 8}, remote = {(void *)0x400000, 8};
    return syscall(SYS_process_vm_readv, 1, &local, 1, &remote, 1, 0);
}

static long cloned(void) {
    struct { unsigned long flags, rest[10]; } arguments = {.flags = CLONE_NEWUSER, .rest = {[3] = SIGCHLD}};
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) _exit(0);
    return pid;
}

static long faster(void) {
    struct sched_param parameter = {.sched_priority = 10};
    return sched_setscheduler(0, SCHED_FIFO, &parameter);
}

static long raised(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max += 1;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

static long clock_set(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return clock_settime(CLOCK_REALTIME, &now);
}

static long clock_bent(void) {
    struct timex bend = {.modes = ADJ_OFFSET_SINGLESHOT};
    return adjtimex(&bend);
}

static long setuid_file(void) {
    written();
    return chmod(own, 04755);
}

static long host_named(void) {
    char name[64];
    gethostname(name, sizeof name);
    return sethostname(name, strlen(name));
}

static void rows(void) {
    struct { unsigned version; int pid; } header = {0x20080522, 0};
    struct { unsigned effective, permitted, inheritable; } none[2] = {{1, 1, 0}, {0, 0, 0}};
    unsigned char attributes[128] = {[4] = 128}, ring[128] = {0};
    int group = 0;

    fprintf(out, "# files\n");
    ROW("write the configuration", opened("/etc/framegate/framegate.toml", O_WRONLY));
    ROW("add to the configuration", entry("/etc/framegate/framegate.d"));
    ROW("add a file in /etc", entry("/etc"));
    ROW("add a file in /usr", entry("/usr"));
    ROW("add a file in /run", entry("/run"));
    ROW("add a file in /var/lib", entry("/var/lib"));
    ROW("add a file in /data", entry("/data"));
    ROW("add a file in /dev/shm", entry("/dev/shm"));
    ROW("add a unit", entry("/run/systemd/system"));
    ROW("read /etc/shadow", opened("/etc/shadow", O_RDONLY));
    ROW("read the encrypted key", opened("/etc/framegate/identity/server.key.cred", O_RDONLY));
    ROW("read the key that it is encrypted with", opened("/var/lib/systemd/credential.secret", O_RDONLY));
    ROW("read the kernel's messages", opened("/proc/kmsg", O_RDONLY));
    ROW("read the kernel's memory", opened("/proc/kcore", O_RDONLY));
    ROW("write a setting of the kernel", opened("/proc/sys/kernel/hostname", O_WRONLY));
    ROW("write a setting of a device", opened("/sys/class/net/lo/mtu", O_WRONLY));
    ROW("write a control group", opened("/sys/fs/cgroup/cgroup.procs", O_WRONLY));
    ROW("write its own control group", opened("/sys/fs/cgroup/system.slice/framegate.service/memory.max", O_WRONLY));
    ROW("make a file setuid", setuid_file());
    ROW("make a device node", mknod("/var/lib/framegate/node", S_IFCHR | 0600, 0x0101));
    ROW("give a file away", chown(written(), 0, 0));
    ROW("open a file by its handle", syscall(SYS_open_by_handle_at, AT_FDCWD, attributes, O_RDONLY) + (errno == EINVAL));

    fprintf(out, "# devices\n");
    ROW("open /dev/kmsg", opened("/dev/kmsg", O_WRONLY));
    ROW("open /dev/mem", opened("/dev/mem", O_RDONLY));
    ROW("open the disk", opened("/dev/ubda", O_RDONLY));
    ROW("open /dev/net/tun", opened("/dev/net/tun", O_RDWR));
    ROW("open the watchdog", opened("/dev/watchdog0", O_WRONLY));
    ROW("open the console", opened("/dev/console", O_WRONLY | O_NOCTTY));
    ROW("open another terminal", opened("/dev/tty5", O_RDWR | O_NOCTTY));

    fprintf(out, "# processes\n");
    ROW("see other processes", others());
    ROW("read what process 1 was told", opened("/proc/1/environ", O_RDONLY));
    ROW("trace process 1", ptrace(PTRACE_SEIZE, 1, NULL, NULL));
    ROW("read the memory of process 1", read_memory());
    ROW("signal process 1", kill(1, 0));
    ROW("execute /bin/sh", executed("/bin/sh", -1));
    ROW("execute a program of systemd", executed("/usr/lib/systemd/systemd-battery-check", -1));
    ROW("execute a program through the loader", loaded("/usr/bin/true"));
    ROW("execute the unit's own helper", executed("/usr/lib/framegate/mark-good", -1));
    ROW("execute a file that it wrote", executed(written(), -1));
    ROW("execute a file in /tmp", executed((close(copied(open("/tmp/probe", O_CREAT | O_WRONLY, 0700))), "/tmp/probe"), -1));
    ROW("execute a file in memory", executed("", copied(syscall(SYS_memfd_create, "probe", 0))));
    ROW("become root", setuid(0) ? -1 : group);
    ROW("take a capability", syscall(SYS_capset, &header, none));
    ROW("run in real time", faster());
    ROW("raise its priority", setpriority(PRIO_PROCESS, 0, -10));
    ROW("raise a limit", raised());

    fprintf(out, "# memory\n");
    ROW("map memory to write and execute", mapped(-1, PROT_READ | PROT_WRITE | PROT_EXEC));
    ROW("make what it wrote executable", made_executable());
    ROW("map a file that it wrote to execute", mapped(open(written(), O_RDONLY), PROT_READ | PROT_EXEC));
    ROW("map a file in memory to execute", mapped(copied(syscall(SYS_memfd_create, "probe", 0)), PROT_READ | PROT_EXEC));
    ROW("attach shared memory to execute", attached());

    fprintf(out, "# namespaces and mounts\n");
    ROW("a user namespace", unshare(CLONE_NEWUSER));
    ROW("a mount namespace", unshare(CLONE_NEWNS));
    ROW("a network namespace", unshare(CLONE_NEWNET));
    ROW("a namespace by clone3", cloned());
    ROW("join a namespace", setns(open("/proc/self/ns/uts", O_RDONLY), CLONE_NEWUTS));
    ROW("mount", mount("tmpfs", "/tmp", "tmpfs", 0, NULL));
    ROW("mount by file descriptor", syscall(SYS_fsopen, "tmpfs", 0));
    ROW("unmount", umount2("/tmp", MNT_DETACH));
    ROW("change its root", chroot("/"));

    fprintf(out, "# network\n");
    ROW("connect to an address that is not allowed", reached(other, 4242, SOCK_STREAM));
    ROW("send to an address that is not allowed", reached(other, 4242, SOCK_DGRAM));
    ROW("listen at another low port", bound(80));
    ROW("a packet socket", socket(AF_PACKET, SOCK_RAW, 0));
    ROW("a raw socket", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    ROW("a netlink socket", socket(AF_NETLINK, SOCK_RAW, 0));
    ROW("a socket of the kernel's ciphers", socket(AF_ALG, SOCK_SEQPACKET, 0));

    fprintf(out, "# kernel\n");
    ROW("load a module", syscall(SYS_init_module, "", 0, ""));
    ROW("load a module from a file", syscall(SYS_finit_module, 0, "", 0));
    ROW("load another kernel", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    ROW("set the clock", clock_set());
    ROW("bend the clock", clock_bent());
    ROW("change the host name", host_named());
    ROW("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0 /* CAD off */, NULL));
    ROW("swap", syscall(SYS_swapon, "/dev/ubda", 0));
    ROW("clear the kernel's messages", syscall(SYS_syslog, 5, NULL, 0));
    ROW("a key ring", syscall(SYS_keyctl, 0, -3, 1));
    ROW("add a key", syscall(SYS_add_key, "user", "probe", "x", 1, -2));
    ROW("load a program of BPF", syscall(SYS_bpf, 0, (int[16]){2, 4, 4, 1}, 64));
    ROW("count events of the processor", syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0));
    ROW("a ring of the kernel's", syscall(SYS_io_uring_setup, 4, ring));
    ROW("handle page faults", syscall(SYS_userfaultfd, 0));
    ROW("another personality", personality(ADDR_NO_RANDOMIZE));
    ROW("watch all files", syscall(SYS_fanotify_init, 0, 0));
    ROW("port access", syscall(SYS_iopl, 3));
    ROW("account processes", syscall(SYS_acct, NULL));

    fprintf(out, "# allowed\n");
    ROW("write its state", entry("/var/lib/framegate"));
    ROW("write its run-time files", entry("/run/framegate"));
    ROW("read its configuration", opened("/etc/framegate/framegate.toml", O_RDONLY));
    ROW("read its key", opened("/run/credentials/framegate.service/server.key", O_RDONLY));
    ROW("open a capture card", opened("/dev/video0", O_RDWR));
    ROW("connect to an allowed address", reached(allowed, 4242, SOCK_STREAM));
    ROW("connect to itself", reached_itself("::1"));
    ROW("connect to itself by IPv4", reached_itself("::ffff:127.0.0.1"));
    ROW("connect to itself by no address", reached_itself("::"));
    ROW("listen at a high port", bound(11112));
    ROW("execute itself", executed("/usr/bin/framegate", -1));
    ROW("build its own wall", syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION));
}

/* So that `systemctl start` returns when all is told. */
static void ready(void) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path) return;
    strncpy(to.sun_path, path, sizeof to.sun_path - 1);
    sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "READY=1", 7, 0, (void *)&to, sizeof to);
    for (;;) pause();
}

int main(int count, char **words) {
    int control = count > 1 && !strcmp(words[1], "--control");
    if (count > 1 && !strcmp(words[1], "--exit-seven")) return 7;
    FILE *in = fopen("/run/framegate-probe", "r");
    if (!in || fscanf(in, "%63s %63s", allowed, other) != 2) return 2;
    snprintf(report, sizeof report, "/run/framegate/%s", control ? "control" : "probe");
    out = fopen(report, "w");
    if (!out) return 3;
    rows();
    fclose(out);
    unlink(own);
    if (!control) ready();
    return 0;
}
