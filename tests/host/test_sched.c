/* SPDX-License-Identifier: MIT */
/* The scheduler on a simulated machine: shares, caps, deadlines, latencies, several CPUs. */
#include "hv/sched.h"

#include "hv/errno.h"
#include "tests/host/check.h"
#include "tests/host/sched_machine.h"

static struct machine machine;

/* Within so many parts in a thousand of what is expected. */
static bool is_near(uint64_t value, uint64_t expected, uint64_t permille)
{
    uint64_t off = value > expected ? value - expected : expected - value;
    bool near = off * 1000 <= expected * permille;

    if (!near)
        printf("# %llu instead of %llu\n", (unsigned long long)value, (unsigned long long)expected);
    return near;
}

static void print_us(const char *what, uint64_t ns)
{
    printf("# %s: %llu.%03llu us\n", what, (unsigned long long)(ns / 1000),
           (unsigned long long)(ns % 1000));
}

/* ---- One CPU, weighted ---------------------------------------------------------------------- */

static void test_weights(void)
{
    struct task *tasks[3];
    bool right = true;

    machine_init(&machine, 1);
    for (unsigned int i = 0; i < 3; i++)
        tasks[i] = add_hog(&machine, 0, 256u << i);
    machine_run(&machine, S);
    for (unsigned int i = 0; i < 3; i++)
        right &= is_near(run_time(&machine, tasks[i]), (S << i) / 7, 10);
    CHECK(right, "three hogs of weight 1:2:4 get their shares within 1% over a second");
    machine_run(&machine, 9 * S);
    for (unsigned int i = 0; i < 3; i++)
        right &= is_near(run_time(&machine, tasks[i]), (10 * S << i) / 7, 1);
    CHECK(right, "and within 0.1% over ten seconds");
    CHECK(tasks[0]->entity.stats.run_ns + tasks[0]->entity.stats.wait_ns + 20 * MS > 10 * S,
          "what does not run is counted as waiting");
}

static void test_extreme_weights(void)
{
    struct task *light, *heavy;

    machine_init(&machine, 1);
    light = add_hog(&machine, 0, 1);
    heavy = add_hog(&machine, 0, SCHED_WEIGHT_MAX);
    machine_run(&machine, 1000 * S);
    CHECK(is_near(run_time(&machine, heavy), 1000 * S / 10001 * 10000, 1) &&
              is_near(run_time(&machine, light), 1000 * S / 10001, 20),
          "a hog of weight 1 gets its 10001st part beside one of weight 10000");
}

static void test_many_hogs(void)
{
    uint64_t latency = 0;
    bool right = true;

    machine_init(&machine, 1);
    for (unsigned int i = 0; i < 64; i++)
        add_hog(&machine, 0, 256);
    machine_run(&machine, 10 * S);
    for (unsigned int i = 0; i < 64; i++) {
        right &= is_near(run_time(&machine, &machine.tasks[i]), 10 * S / 64, 20);
        latency = MAX(latency, machine.tasks[i].entity.stats.latency_max_ns);
    }
    print_us("64 hogs, the longest wait of one for its turn", latency);
    CHECK(right, "64 equal hogs get equal shares");
    CHECK(latency <= 64 * 2 * SCHED_SLICE_NS, "and none waits for more than two turns of all");
}

/* 40 years of one turn: a pair is fair after them as before. */
static void test_decades(void)
{
    struct task *first, *second;
    uint64_t before;

    machine_init(&machine, 1);
    first = add_hog(&machine, 0, 1);
    machine_run(&machine, 40ull * 365 * 86400 * S);
    before = run_time(&machine, first);
    second = add_hog(&machine, 0, 1);
    machine_run(&machine, 10 * S);
    CHECK(is_near(run_time(&machine, first) - before, 5 * S, 2) &&
              is_near(run_time(&machine, second), 5 * S, 2),
          "nothing overflows in 40 years at weight 1");
}

static void test_yield(void)
{
    struct task *spinning, *working;

    machine_init(&machine, 1);
    spinning = add_hog(&machine, 0, 256);
    working = add_hog(&machine, 0, 256);
    for (unsigned int i = 0; i < 1000; i++) {
        machine_run(&machine, 100 * US);
        if (machine.queues[0].current == &spinning->entity) {
            sched_give_way(&machine.queues[0], machine.now);
            decide(&machine, 0);
        }
    }
    CHECK(run_time(&machine, working) > 85 * MS && run_time(&machine, spinning) > 0,
          "who yields each 100 us leaves the CPU to the other, and gets its turns still");
    sched_sleep(&working->entity, machine.now);
    decide(&machine, 0);
    sched_give_way(&machine.queues[0], machine.now);
    decide(&machine, 0);
    CHECK(machine.queues[0].current == &spinning->entity, "who yields alone goes on");
}

/* ---- Sleepers ------------------------------------------------------------------------------- */

static uint64_t sleeper_delay(unsigned int hogs, unsigned int sleepers, uint64_t burst_ns)
{
    uint64_t delay = 0;

    machine_init(&machine, 1);
    for (unsigned int i = 0; i < hogs; i++)
        add_hog(&machine, 0, 256);
    for (unsigned int i = 0; i < sleepers; i++)
        add_task(&machine, 0, (struct sched_params){0}, burst_ns, 20 * MS + i * 77 * US);
    machine_run(&machine, S); /* all begin at once, with nothing saved up */
    for (unsigned int i = 0; i < sleepers; i++)
        machine.tasks[hogs + i].delay_max_ns = 0;
    machine_run(&machine, 10 * S);
    for (unsigned int i = 0; i < sleepers; i++)
        delay = MAX(delay, machine.tasks[hogs + i].delay_max_ns);
    return delay;
}

static void test_sleepers(void)
{
    uint64_t delay = sleeper_delay(8, 1, 200 * US);

    print_us("sleeper beside eight hogs, worst delay", delay);
    CHECK(delay == 0, "an interactive sleeper preempts eight hogs at once");
    delay = sleeper_delay(8, 8, 200 * US);
    print_us("eight sleepers beside eight hogs, worst delay", delay);
    CHECK(delay <= 8 * 200 * US, "eight sleepers wait for each other only");
    delay = sleeper_delay(8, 1, 5 * MS);
    print_us("sleeper that wants 25% beside eight hogs, worst delay", delay);
    CHECK(delay <= 10 * 2 * SCHED_SLICE_NS, "one that wants more than its share waits a round");
}

/* It sleeps as little as it can to be woken often. */
static void test_bonus(void)
{
    struct task *hog, *cheat;

    machine_init(&machine, 1);
    hog = add_hog(&machine, 0, 256);
    cheat = add_task(&machine, 0, (struct sched_params){0}, 1900 * US, 2 * MS);
    machine_run(&machine, 10 * S);
    CHECK(run_time(&machine, hog) >= 495 * 10 * MS, "sleeping now and then wins nothing");
    CHECK(run_time(&machine, cheat) >= 480 * 10 * MS, "and loses little");

    machine_init(&machine, 1);
    hog = add_hog(&machine, 0, 256);
    machine_run(&machine, 100 * S);
    cheat = add_hog(&machine, 0, 256);
    machine_run(&machine, 100 * MS);
    CHECK(run_time(&machine, cheat) <= 50 * MS + SCHED_BONUS_NS,
          "who comes late catches up with no more than the bonus");
}

/* ---- Caps ----------------------------------------------------------------------------------- */

static void test_cap(void)
{
    struct task *capped, *hog;
    uint64_t before, least = S, most = 0;

    machine_init(&machine, 1);
    capped = add_task(&machine, 0, (struct sched_params){.cap = 25}, 0, 0);
    machine_run(&machine, S);
    CHECK(is_near(run_time(&machine, capped), S / 4, 10), "a cap of 25% holds on an idle CPU");
    CHECK(capped->entity.stats.wait_ns > 700 * MS && capped->entity.stats.latency_max_ns == 0,
          "being throttled is waiting, but no latency");
    hog = add_hog(&machine, 0, 256);
    before = run_time(&machine, capped);
    machine_run(&machine, S);
    CHECK(is_near(run_time(&machine, capped) - before, S / 4, 10) &&
              is_near(run_time(&machine, hog), S / 4 * 3, 10),
          "and beside a hog, which gets the rest");
    for (unsigned int i = 0; i < 50; i++) {
        machine_run(&machine, 1234567);
        before = run_time(&machine, capped);
        machine_run(&machine, S);
        least = MIN(least, run_time(&machine, capped) - before);
        most = MAX(most, run_time(&machine, capped) - before);
    }
    CHECK(is_near(least, S / 4, 10) && is_near(most, S / 4, 10), "and in any second");
}

static void test_caps(void)
{
    struct task *capped[4];
    bool right = true;

    machine_init(&machine, 1);
    for (unsigned int i = 0; i < 4; i++)
        capped[i] = add_task(&machine, 0, (struct sched_params){.cap = 1 + 7 * i}, 0, 0);
    machine_run(&machine, 10 * S);
    for (unsigned int i = 0; i < 4; i++)
        right &= is_near(run_time(&machine, capped[i]), (1 + 7 * i) * 100 * MS, 10);
    CHECK(right, "caps of 1, 8, 15 and 22% hold side by side");

    machine_init(&machine, 1);
    capped[0] = add_task(&machine, 0, (struct sched_params){.cap = 30}, 4 * MS, 9 * MS);
    add_hog(&machine, 0, 256);
    machine_run(&machine, 10 * S);
    CHECK(run_time(&machine, capped[0]) <= 3 * S + 3 * MS &&
              run_time(&machine, capped[0]) >= 2700 * MS,
          "a cap of 30% holds for one that sleeps and wants 44%");
}

/* Kept from the CPU for nine windows of ten it has what was left of one, and one more. */
static void test_cap_after_waiting(void)
{
    struct task *capped;

    machine_init(&machine, 1);
    capped = add_task(&machine, 0, (struct sched_params){.cap = 10}, 0, 0);
    add_task(&machine, 0, (struct sched_params){.period_ns = 100 * MS, .budget_ns = 90 * MS}, 0, 0);
    machine_run(&machine, 10 * S);
    CHECK(run_time(&machine, capped) <= 100 * 2 * MS, "a cap saves nothing up for later");
}

/* ---- Real time ------------------------------------------------------------------------------ */

static struct task *add_realtime(unsigned int cpu, uint64_t budget_ns, uint64_t period_ns,
                                 uint64_t burst_ns)
{
    return add_task(&machine, cpu,
                    (struct sched_params){.period_ns = period_ns, .budget_ns = budget_ns}, burst_ns,
                    period_ns);
}

static void test_realtime(void)
{
    struct task *realtime;
    uint64_t share;

    machine_init(&machine, 1);
    for (unsigned int i = 0; i < 8; i++)
        add_hog(&machine, 0, 256);
    realtime = add_realtime(0, MS, 10 * MS, MS);
    machine_run(&machine, 10 * S);
    share = run_time(&machine, &machine.tasks[0]);
    print_us("1 ms in 10 ms beside eight hogs, worst delay", realtime->delay_max_ns);
    CHECK(realtime->bursts == 1000 && realtime->missed == 0,
          "1 ms in 10 ms beside eight hogs misses no deadline in 1,000 periods");
    CHECK(realtime->delay_max_ns == 0, "and runs at once");
    CHECK(is_near(share, 9 * S / 8, 10), "the hogs share the rest");
}

static void test_realtime_hog(void)
{
    struct task *greedy, *modest, *hog;

    machine_init(&machine, 1);
    hog = add_hog(&machine, 0, 256);
    greedy = add_task(&machine, 0, (struct sched_params){.period_ns = 10 * MS, .budget_ns = 5 * MS},
                      0, 0);
    modest = add_realtime(0, 3 * MS, 7 * MS, 3 * MS);
    machine_run(&machine, 7 * S);
    CHECK(is_near(run_time(&machine, greedy), 35 * S / 10, 2),
          "a real-time hog gets its budget and no more");
    CHECK(modest->bursts == 1000 && modest->missed == 0, "its neighbour misses no deadline");
    CHECK(run_time(&machine, hog) >= 450 * MS, "a weighted one gets what is left");
}

/* Ten servers with periods that have little in common fill a CPU up to the limit. */
static void test_edf(void)
{
    static const uint64_t periods[] = {1, 2, 3, 5, 7, 11, 13, 17, 19, 23};
    uint64_t bursts = 0, missed = 0;

    machine_init(&machine, 1);
    add_hog(&machine, 0, 256);
    for (unsigned int i = 0; i < ARRAY_SIZE(periods); i++)
        add_realtime(0, periods[i] * 95 * US, periods[i] * MS, periods[i] * 95 * US);
    machine_run(&machine, 20 * S);
    for (unsigned int i = 1; i <= ARRAY_SIZE(periods); i++) {
        bursts += machine.tasks[i].bursts;
        missed += machine.tasks[i].missed;
    }
    CHECK(bursts > 40000 && missed == 0, "EDF meets all deadlines of a CPU reserved to 95%");
    CHECK(is_near(run_time(&machine, &machine.tasks[0]), S, 10), "and a hog gets the other 5%");
}

/* ---- Several CPUs --------------------------------------------------------------------------- */

static bool all_near(uint64_t expected, uint64_t permille)
{
    bool right = true;

    for (unsigned int i = 0; i < machine.task_count; i++)
        right &= is_near(run_time(&machine, &machine.tasks[i]), expected, permille);
    return right;
}

static void run_hogs(unsigned int cpus, unsigned int hogs, bool balance, uint64_t ns)
{
    machine_init(&machine, cpus);
    machine.balance = balance;
    for (unsigned int i = 0; i < hogs; i++)
        add_hog(&machine, balance ? 0 : i % cpus, 256);
    machine_run(&machine, ns);
}

static void test_two_cpus(void)
{
    uint64_t alone;

    run_hogs(2, 4, true, S);
    CHECK(all_near(S / 2, 20), "four hogs that begin on one CPU share two within 2%");
    run_hogs(2, 3, true, S);
    CHECK(all_near(S * 2 / 3, 50), "three hogs on two CPUs rotate: 2/3 each within 5% of a second");
    run_hogs(2, 3, true, 10 * S);
    CHECK(all_near(10 * S * 2 / 3, 20), "within 2% of ten");
    run_hogs(2, 5, true, 10 * S);
    CHECK(all_near(10 * S * 2 / 5, 20), "five hogs on two CPUs as well");
    run_hogs(4, 7, true, 10 * S);
    CHECK(all_near(10 * S * 4 / 7, 30), "seven hogs on four within 3%");
    run_hogs(2, 3, false, 10 * S);
    alone = run_time(&machine, &machine.tasks[1]);
    CHECK(alone == 10 * S && is_near(run_time(&machine, &machine.tasks[0]), 5 * S, 10),
          "where nobody pushes, the third has a CPU for itself");
    CHECK(machine.until[1] == SCHED_NEVER, "which takes no timer");
}

/* CPUs fall idle all the time; nobody waits while one is. */
static void test_stealing(void)
{
    uint64_t ran = 0;

    machine_init(&machine, 4);
    for (unsigned int i = 0; i < 12; i++)
        add_task(&machine, 0, (struct sched_params){0}, 3 * MS + i * 100 * US, 11 * MS + i * MS);
    machine_run(&machine, 10 * S);
    for (unsigned int i = 0; i < 12; i++) {
        ran += run_time(&machine, &machine.tasks[i]);
    }
    printf("# twelve sleepers that want 2.6 CPUs get %llu%% of four\n",
           (unsigned long long)(ran / (400 * MS)));
    CHECK(ran > 25 * S, "idle CPUs take the work of busy ones");
    CHECK(!machine.strayed, "nothing runs on two CPUs");
}

/* It was woken on an idle CPU, which is on its way to run it. */
static void test_stealing_the_only(void)
{
    struct task *only;

    machine_init(&machine, 2);
    only = add_hog(&machine, 0, 256);
    sched_wake(&only->entity, machine.now);
    CHECK(!sched_steal(&machine.queues[0], &machine.queues[1], machine.now) &&
              !sched_steal(&machine.queues[1], &machine.queues[0], machine.now),
          "the only one of an idle CPU is not stolen");
    add_hog(&machine, 0, 256);
    sched_wake(&machine.tasks[1].entity, machine.now);
    CHECK(sched_steal(&machine.queues[0], &machine.queues[1], machine.now) &&
              machine.queues[0].admitted == 256 && machine.queues[1].admitted == 256 &&
              !sched_steal(&machine.queues[0], &machine.queues[1], machine.now),
          "one of two is, and the other is not");
}

static void test_affinity(void)
{
    static const uint64_t masks[][SCHED_MAX_CPUS / 64] = {{1}, {2}, {4}, {8}, {3}, {12}, {9}, {15}};
    struct task *realtime;

    machine_init(&machine, 4);
    for (unsigned int i = 0; i < 32; i++) {
        const uint64_t *mask = masks[i % ARRAY_SIZE(masks)];

        add_task(&machine, (unsigned int)__builtin_ctzll(mask[0]),
                 (struct sched_params){.cpus = mask, .weight = 64 + i * 16},
                 i % 3 ? (i * 37 % 11 + 1) * 100 * US : 0, (i * 53 % 17 + 2) * MS);
    }
    realtime = add_realtime(2, 2 * MS, 9 * MS, 2 * MS);
    machine_run(&machine, 20 * S);
    CHECK(!machine.strayed, "affinity is never violated");
    CHECK(realtime->entity.queue == &machine.queues[2] && realtime->missed == 0,
          "a real-time entity stays where it was admitted, and misses nothing");
}

static void test_place(void)
{
    struct sched_queue *queues[] = {&machine.queues[0], &machine.queues[1], &machine.queues[2],
                                    &machine.queues[3]};
    uint64_t mask[SCHED_MAX_CPUS / 64] = {0xe}, siblings[SCHED_MAX_CPUS / 64] = {0};
    struct sched_params params = {.weight = 256, .cap = 100, .cpus = mask};
    struct sched_queue *queue;
    struct sched_entity entity;
    uint32_t free_ppm;

    machine_init(&machine, 4);
    add_hog(&machine, 1, 256);
    add_hog(&machine, 2, 512);
    add_realtime(3, 9 * MS, 10 * MS, MS);
    sched_entity_init(&entity, &params);
    CHECK(sched_place(queues, 4, &entity, siblings) == queues[3],
          "placed where the least is at home, of the CPUs it may use");
    add_hog(&machine, 3, 128);
    CHECK(sched_place(queues, 4, &entity, siblings) == queues[1],
          "what is reserved makes a CPU smaller");
    siblings[0] = 1u << 1 | 1u << 3;
    CHECK(sched_place(queues, 4, &entity, siblings) == queues[2], "not beside a sibling");
    siblings[0] = 15;
    CHECK(sched_place(queues, 4, &entity, siblings) == queues[1],
          "unless there is one on each CPU");
    params.period_ns = 10 * MS;
    params.budget_ns = 2 * MS;
    mask[0] = 8;
    sched_entity_init(&entity, &params);
    queue = sched_place(queues, 4, &entity, siblings);
    CHECK(queue == queues[3] && sched_admit(queue, &entity, &free_ppm) == -EBUSY &&
              (free_ppm + 5000) / 10000 == 5,
          "a budget that fits nowhere is refused where it is placed");
    mask[0] = 12;
    sched_entity_init(&entity, &params);
    siblings[0] = 4;
    CHECK(sched_place(queues, 4, &entity, siblings) == queues[2],
          "room matters more than siblings");
    mask[0] = 16;
    sched_entity_init(&entity, &params);
    CHECK(!sched_place(queues, 4, &entity, siblings), "no CPU is none");
}

/* ---- Admission and life --------------------------------------------------------------------- */

static void test_parameters(void)
{
    static const struct {
        uint32_t weight, cap;
        uint64_t period_ns, budget_ns;
        int result;
    } cases[] = {
        {1, 100, 0, 0, 0},
        {10000, 1, 0, 0, 0},
        {0, 100, 0, 0, -EINVAL},
        {10001, 100, 0, 0, -EINVAL},
        {256, 0, 0, 0, -EINVAL},
        {256, 101, 0, 0, -EINVAL},
        {0, 0, 10 * MS, 10 * MS, 0},
        {0, 0, 10 * MS, 10 * MS + 1, -EINVAL},
        {0, 0, 10 * MS, 0, -EINVAL},
        {0, 0, SCHED_PERIOD_MAX, SCHED_PERIOD_MAX, 0},
        {0, 0, SCHED_PERIOD_MAX + 1, MS, -EINVAL},
    };
    struct sched_entity entity;
    bool right = true;

    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
        right &=
            sched_entity_init(&entity, &(struct sched_params){.weight = cases[i].weight,
                                                              .cap = cases[i].cap,
                                                              .period_ns = cases[i].period_ns,
                                                              .budget_ns = cases[i].budget_ns,
                                                              .cpus = anywhere}) == cases[i].result;
    CHECK(right, "parameters out of their range are refused");
}

static void test_admission(void)
{
    static const struct {
        uint64_t budget_us, period_us;
        int result;
        uint32_t free_percent; /* before, rounded */
    } cases[] = {
        {9600, 10000, -EBUSY, 95}, {5000, 10000, 0, 95}, {4600, 10000, -EBUSY, 45},
        {100, 10000, 0, 45},       {4400, 10000, 0, 44}, {1, 10000000, -EBUSY, 0},
    };
    struct sched_entity entities[ARRAY_SIZE(cases)];
    struct sched_queue queue;
    uint32_t free_ppm;
    bool right = true;

    sched_queue_init(&queue, 7);
    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
        sched_entity_init(&entities[i], &(struct sched_params){.period_ns = cases[i].period_us * US,
                                                               .budget_ns = cases[i].budget_us * US,
                                                               .cpus = anywhere});
        right &= sched_admit(&queue, &entities[i], &free_ppm) == cases[i].result;
        right &= (free_ppm + 5000) / 10000 == cases[i].free_percent;
    }
    CHECK(right, "budgets are admitted up to 95% of a CPU, and the rest is told");
    CHECK(sched_admit(&queue, &entities[1], &free_ppm) == -EINVAL, "nobody is admitted twice");
    sched_leave(&entities[1], 0);
    CHECK(sched_admit(&queue, &entities[0], &free_ppm) == -EBUSY && (free_ppm + 5000) / 10000 == 50,
          "who leaves gives its share back");
    sched_leave(&entities[3], 0);
    sched_leave(&entities[4], 0);
    sched_leave(&entities[4], 0);
    CHECK(queue.reserved == 0, "all of it");
}

static void test_admission_elsewhere(void)
{
    static const uint64_t mask[SCHED_MAX_CPUS / 64] = {0, 0, 0, 1ull << 63};
    struct sched_params params = {.weight = 256, .cap = 100, .cpus = mask};
    struct sched_entity entity;
    struct sched_queue queue;
    uint32_t free_ppm;

    sched_entity_init(&entity, &params);
    sched_queue_init(&queue, 254);
    CHECK(sched_admit(&queue, &entity, &free_ppm) == -EINVAL && !sched_wake(&entity, 0),
          "not on a CPU that it may not use, and then it does not wake");
    sched_queue_init(&queue, SCHED_MAX_CPUS);
    CHECK(sched_admit(&queue, &entity, &free_ppm) == -EINVAL, "nor on one that cannot be");
    sched_queue_init(&queue, 255);
    CHECK(sched_admit(&queue, &entity, &free_ppm) == 0, "on the last CPU");
}

static void test_leaving(void)
{
    struct sched_queue *queue = &machine.queues[0];
    struct task *tasks[4];

    machine_init(&machine, 1);
    tasks[0] = add_hog(&machine, 0, 256);
    tasks[1] = add_hog(&machine, 0, 256);
    tasks[2] = add_task(&machine, 0, (struct sched_params){.cap = 1}, 0, 0);
    tasks[3] = add_task(&machine, 0, (struct sched_params){.period_ns = MS, .budget_ns = US}, 0, 0);
    machine_run(&machine, 10 * MS + 500 * US);
    for (unsigned int i = 0; i < 4; i++) {
        sched_leave(&tasks[i]->entity, machine.now);
        decide(&machine, 0);
    }
    CHECK(!queue->current && !queue->fair.root && !queue->realtime.root && !queue->throttled.root &&
              !queue->oldest && queue->newest == &queue->oldest && sched_load(queue) == 0 &&
              queue->admitted == 0 && queue->reserved == 0 && machine.until[0] == SCHED_NEVER,
          "running, waiting and throttled ones leave nothing behind");
}

/* ---- Timers and clocks ---------------------------------------------------------------------- */

static void test_tickless(void)
{
    struct task *first, *second;
    uint64_t until;

    machine_init(&machine, 1);
    CHECK(!sched_pick(&machine.queues[0], machine.now, &until) && until == SCHED_NEVER,
          "an idle CPU takes no timer");
    first = add_hog(&machine, 0, 256);
    machine_run(&machine, 10 * S);
    CHECK(machine.until[0] == SCHED_NEVER && machine.decisions == 1,
          "one that runs alone takes no timer");
    second = add_hog(&machine, 0, 256);
    second->wake_at = SCHED_NEVER;
    CHECK(sched_wake(&second->entity, machine.now) &&
              sched_pick(&machine.queues[0], machine.now, &until) &&
              until <= machine.now + SCHED_BONUS_NS + SCHED_SLICE_NS,
          "a second one makes it take one");
    sched_sleep(machine.queues[0].current, machine.now);
    CHECK(sched_pick(&machine.queues[0], machine.now, &until) && until == SCHED_NEVER,
          "until it is alone again");
    CHECK(!sched_wake(&first->entity, machine.now) || !sched_wake(&second->entity, machine.now),
          "waking who is awake does nothing");
}

static void test_decisions(void)
{
    machine_init(&machine, 1);
    add_hog(&machine, 0, 256);
    add_hog(&machine, 0, 256);
    machine_run(&machine, 10 * S);
    printf("# two hogs make %llu decisions a second\n",
           (unsigned long long)(machine.decisions / 10));
    CHECK(machine.decisions <= 10 * 600, "two hogs cost 600 decisions a second at most");
}

static void test_clocks(void)
{
    struct task *first, *second;
    uint64_t until, ran;

    machine_init(&machine, 1);
    first = add_hog(&machine, 0, 256);
    second = add_hog(&machine, 0, 256);
    machine_run(&machine, 10 * MS);
    ran = first->entity.stats.run_ns + second->entity.stats.run_ns;
    sched_pick(&machine.queues[0], machine.now - 100 * US, &until);
    sched_sleep(&first->entity, machine.now - 200 * US);
    sched_wake(&first->entity, machine.now - 300 * US);
    sched_pick(&machine.queues[0], machine.now - 50 * US, &until);
    CHECK(first->entity.stats.run_ns + second->entity.stats.run_ns - ran <= 10 * MS &&
              first->entity.stats.wait_ns <= 20 * MS,
          "a clock that is behind another CPU's charges nothing");
}

/* The machine stood still for a second, say in firmware, while a real-time one ran. */
static void test_overrun(void)
{
    struct task *realtime;
    uint64_t before;

    machine_init(&machine, 1);
    add_hog(&machine, 0, 256);
    realtime =
        add_task(&machine, 0, (struct sched_params){.period_ns = 10 * MS, .budget_ns = MS}, 0, 0);
    machine_run(&machine, 500 * US);
    machine.now += S;
    decide(&machine, 0);
    before = run_time(&machine, realtime);
    machine_run(&machine, 100 * MS);
    CHECK(is_near(run_time(&machine, realtime) - before, 9 * MS, 120),
          "an overrun is paid back with one budget, not with a hundred");
}

int main(void)
{
    test_weights();
    test_extreme_weights();
    test_many_hogs();
    test_decades();
    test_yield();
    test_sleepers();
    test_bonus();
    test_cap();
    test_caps();
    test_cap_after_waiting();
    test_realtime();
    test_realtime_hog();
    test_edf();
    test_two_cpus();
    test_stealing();
    test_stealing_the_only();
    test_affinity();
    test_place();
    test_parameters();
    test_admission();
    test_admission_elsewhere();
    test_leaving();
    test_tickless();
    test_decisions();
    test_clocks();
    test_overrun();
    return check_done();
}
