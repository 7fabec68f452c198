/* Notes every file that a process opens for writing: a line "PID PATH" in the file that WITNESS_LOG names.
 *
 * Loaded by LD_PRELOAD into the services. It sees what goes through the C library, as Python, libpq and everything else in these processes
 * does; a path is what the kernel made of it, so that links and relative names don't hide anything. A file in memory (memfd) is no file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))
#define MODE(flags)                                                                                                                        \
    ({                                                                                                                                     \
        mode_t mode = 0;                                                                                                                   \
        if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                                                           \
            va_list more;                                                                                                                  \
            va_start(more, flags);                                                                                                         \
            mode = va_arg(more, mode_t);                                                                                                   \
            va_end(more);                                                                                                                  \
        }                                                                                                                                  \
        mode;                                                                                                                              \
    })

static int note(int fd) {
    const char *log = getenv("WITNESS_LOG");
    int before = errno;
    if (fd < 0 || log == NULL)
        return fd;
    char link[40], line[4200];
    int head = snprintf(line, sizeof line, "%d ", (int)getpid());
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, line + head, 4096);
    if (length > 0) {
        line[head + length] = '\n';
        /* Past the functions below, or it would note itself. */
        int out = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (out >= 0) {
            ssize_t written = write(out, line, (size_t)(head + length + 1));
            (void)written;
            close(out);
        }
    }
    errno = before;
    return fd;
}

static int noted(int fd, int flags) {
    return (flags & O_ACCMODE) == O_RDONLY ? fd : note(fd);
}

static FILE *noted_file(FILE *file, const char *mode) {
    if (file != NULL && strpbrk(mode, "wa+") != NULL)
        note(fileno(file));
    return file;
}

int open(const char *path, int flags, ...) {
    mode_t mode = MODE(flags);
    return noted(REAL(open)(path, flags, mode), flags);
}

int open64(const char *path, int flags, ...) {
    mode_t mode = MODE(flags);
    return noted(REAL(open64)(path, flags, mode), flags);
}

int openat(int folder, const char *path, int flags, ...) {
    mode_t mode = MODE(flags);
    return noted(REAL(openat)(folder, path, flags, mode), flags);
}

int openat64(int folder, const char *path, int flags, ...) {
    mode_t mode = MODE(flags);
    return noted(REAL(openat64)(folder, path, flags, mode), flags);
}

int creat(const char *path, mode_t mode) {
    return note(REAL(creat)(path, mode));
}

int creat64(const char *path, mode_t mode) {
    return note(REAL(creat64)(path, mode));
}

FILE *fopen(const char *path, const char *mode) {
    return noted_file(REAL(fopen)(path, mode), mode);
}

FILE *fopen64(const char *path, const char *mode) {
    return noted_file(REAL(fopen64)(path, mode), mode);
}

int mkstemp(char *path) {
    return note(REAL(mkstemp)(path));
}

int mkstemp64(char *path) {
    return note(REAL(mkstemp64)(path));
}

int mkostemp(char *path, int flags) {
    return note(REAL(mkostemp)(path, flags));
}

FILE *tmpfile(void) {
    return noted_file(REAL(tmpfile)(), "w");
}
