/* SPDX-License-Identifier: MIT */
/* The command "info GUEST". */
#pragma once

struct vm;

void info_guest(struct vm *vm);
