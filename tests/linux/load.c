/* SPDX-License-Identifier: MIT */
/*
 * A load for a Linux guest of two CPUs, of what paravirtual interfaces are for: threads that wake
 * one another from CPU to CPU, mappings that change while both CPUs use them, and reading the
 * clock.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

static unsigned int rounds;
static int there[2], back[2]; /* pipes */
static _Atomic bool changed;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void run_on(size_t cpu)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0)
        fail("sched_setaffinity");
}

static void pass(int from, int to)
{
    char token = 0;

    if (read(from, &token, 1) != 1 || write(to, &token, 1) != 1)
        fail("pipe");
}

/* The second CPU: it answers each token, and is busy in the same address space until all has
 * changed. */
static void *partner(void *argument)
{
    run_on(1);
    for (unsigned int i = 0; i < rounds; i++)
        pass(there[0], back[1]);
    while (!changed)
        ;
    return NULL;
}

static void wake_one_another(void)
{
    char token = 0;

    for (unsigned int i = 0; i < rounds; i++)
        if (write(there[1], &token, 1) != 1 || read(back[0], &token, 1) != 1)
            fail("pipe");
}

/* Each change must reach the other CPU's TLB before it returns. */
static void change_mappings(void)
{
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        fail("mmap");
    for (unsigned int i = 0; i < rounds; i++) {
        *(volatile char *)page = 1;
        if (mprotect(page, PAGE, PROT_READ) != 0 ||
            mprotect(page, PAGE, PROT_READ | PROT_WRITE) != 0)
            fail("mprotect");
    }
    changed = true;
}

static void read_clocks(void)
{
    struct timespec before = {0}, now;

    for (unsigned int i = 0; i < rounds; i++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec < before.tv_sec ||
            (now.tv_sec == before.tv_sec && now.tv_nsec < before.tv_nsec)) {
            puts("load: the clock went backwards");
            exit(1);
        }
        before = now;
    }
}

int main(int count, char **arguments)
{
    pthread_t thread;

    rounds = count > 1 ? (unsigned int)atoi(arguments[1]) : 1000;
    if (pipe(there) != 0 || pipe(back) != 0)
        fail("pipe");
    run_on(0);
    if (pthread_create(&thread, NULL, partner, NULL) != 0)
        fail("pthread_create");
    wake_one_another();
    change_mappings();
    pthread_join(thread, NULL);
    read_clocks();
    printf("load: %u rounds done\n", rounds);
    return 0;
}
