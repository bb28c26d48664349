/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine of Linux's KVM that has what the bench payload needs, and no more.
 */
#pragma once

/* Runs the ELF file at `path` until it says the end or fails; returns 0 if it has ended well. */
int vm_run(const char *path);

/* Says what has failed, with errno, and returns -1. */
int failed(const char *what);
