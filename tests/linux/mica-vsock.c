/* SPDX-License-Identifier: MIT */
/*
 * Sockets between guests, from Linux's user space: moves bytes both ways over one connection at
 * once, checks them, and says how the connection ended.
 *
 *   mica-vsock serve PORT BYTES               waits for one connection
 *   mica-vsock connect CID PORT BYTES [hold]  makes one, and closes it or waits for its end
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define PIECE 8192

static void fail(const char *what)
{
    printf("mica-vsock: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_vm address(unsigned int cid, unsigned int port)
{
    return (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
}

static int serve(unsigned int port)
{
    const struct sockaddr_vm own = address(VMADDR_CID_ANY, port);
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0), connection;

    if (fd < 0 || bind(fd, (const struct sockaddr *)&own, sizeof(own)) || listen(fd, 1))
        fail("serve");
    printf("serving %u\n", port);
    fflush(stdout);
    connection = accept(fd, NULL, NULL);
    if (connection < 0)
        fail("accept");
    return connection;
}

static int dial(unsigned int cid, unsigned int port)
{
    const struct sockaddr_vm other = address(cid, port);
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&other, sizeof(other)))
        fail("connect");
    return fd;
}

/* The bytes of both directions differ. */
static uint8_t next(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return (uint8_t)(*state >> 24);
}

static void send_all(int fd, unsigned long count, uint32_t state)
{
    uint8_t bytes[PIECE];

    while (count) {
        size_t size = count < PIECE ? count : PIECE, done = 0;

        for (size_t i = 0; i < size; i++)
            bytes[i] = next(&state);
        while (done < size) {
            ssize_t now = write(fd, bytes + done, size - done);

            if (now <= 0)
                fail("write");
            done += (size_t)now;
        }
        count -= size;
    }
}

static void receive_all(int fd, unsigned long count, uint32_t state)
{
    unsigned long left = count, wrong = 0;
    uint8_t bytes[PIECE];

    while (left) {
        ssize_t now = read(fd, bytes, left < PIECE ? left : PIECE);

        if (now <= 0)
            fail("read");
        for (ssize_t i = 0; i < now; i++)
            wrong += bytes[i] != next(&state);
        left -= (unsigned long)now;
    }
    printf("received %lu bytes, %lu wrong\n", count, wrong);
    fflush(stdout);
}

static void wait_for_end(int fd)
{
    char byte;
    ssize_t now = read(fd, &byte, 1);

    printf("ended: %s\n", now == 0 ? "closed" : now > 0 ? "more bytes" : strerror(errno));
}

static int usage(void)
{
    printf("usage: mica-vsock serve PORT BYTES | connect CID PORT BYTES [hold]\n");
    return 2;
}

int main(int argc, char **argv)
{
    bool server = argc == 4 && strcmp(argv[1], "serve") == 0;
    bool client = argc >= 5 && strcmp(argv[1], "connect") == 0;
    unsigned long count;
    int fd;

    if (!server && !client)
        return usage();
    count = strtoul(argv[server ? 3 : 4], NULL, 10);
    if (server)
        fd = serve((unsigned int)strtoul(argv[2], NULL, 10));
    else
        fd = dial((unsigned int)strtoul(argv[2], NULL, 10),
                  (unsigned int)strtoul(argv[3], NULL, 10));
    if (fork() == 0) {
        send_all(fd, count, server);
        _exit(0);
    }
    receive_all(fd, count, !server);
    wait(NULL);
    if (client && argc == 5)
        shutdown(fd, SHUT_WR);
    wait_for_end(fd);
    return 0;
}
