/* SPDX-License-Identifier: MIT */
/* The devices of a VM and the wires between them: interrupt lines, timers, ports, the console. */
#pragma once

#include <stdint.h>

struct vm;

/* The date now, seconds since 1970: what the guests' clocks start from. */
void board_set_date(uint64_t unix_time);
/* The date now, in nanoseconds since 1970. */
uint64_t board_date_ns(void);
/* 0, or -ENOMEM; board_destroy() is right in both cases, and before. */
int board_init(struct vm *vm);
/* The VM goes: none of its timers is firing any more, and its console is forgotten. */
void board_destroy(struct vm *vm);
/* All devices as after power on; the guest's clock shows 0. */
void board_reset(struct vm *vm);
/* The guest's clock stands: no device's timer may fire.  And goes on. */
void board_pause(struct vm *vm);
void board_resume(struct vm *vm);
/* The VM has ended: its devices touch no memory any more, whatever others send them. */
void board_off(struct vm *vm);
/* Somebody presses the power button: what becomes of it is the guest's. */
void board_power_button(struct vm *vm);
/* What its devices have left to do; by one of its vCPUs, at VCPU_REQ_DEVICES. */
void board_work(struct vm *vm);
/* An edge on an interrupt line, a global system interrupt below GSI_COUNT: as its device would make
 * it.  The line has the level that it had. */
void board_pulse(struct vm *vm, unsigned int gsi);
