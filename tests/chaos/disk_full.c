/* A full disk under PostgreSQL's tables: while the file named by CHAOS_DISK_FULL exists, no file of base/ grows any more.
 *
 * Loaded by LD_PRELOAD into the PostgreSQL of a chaos run. As on a real full disk, what is allocated already can be written again, and the
 * write-ahead log is on a disk of its own. PostgreSQL writes and extends files by these calls (src/backend/storage/file/fd.c).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

static int is_table(int fd) {
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = '\0';
    return strstr(path, "/data/base/") != NULL;
}

/* Whether the disk is full and these bytes would need more of it. */
static int is_refused(int fd, off_t end) {
    const char *flag = getenv("CHAOS_DISK_FULL");
    int before = errno;
    struct stat now;
    int refused = flag && access(flag, F_OK) == 0 && is_table(fd) && fstat(fd, &now) == 0 && end > now.st_size;
    errno = refused ? ENOSPC : before;
    return refused;
}

static off_t total(const struct iovec *pieces, int count) {
    off_t sum = 0;
    for (int nth = 0; nth < count; nth++)
        sum += (off_t)pieces[nth].iov_len;
    return sum;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    return is_refused(fd, offset + (off_t)size) ? -1 : REAL(pwrite)(fd, bytes, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset) {
    return is_refused(fd, offset + total(pieces, count)) ? -1 : REAL(pwritev)(fd, pieces, count, offset);
}

/* Returns the error instead of setting errno: posix_fallocate(3). */
int posix_fallocate(int fd, off_t offset, off_t size) {
    return is_refused(fd, offset + size) ? ENOSPC : REAL(posix_fallocate)(fd, offset, size);
}
