/* SPDX-License-Identifier: MIT */
/*
 * A pairing heap of nodes that lie in the things it orders, the smallest key first: what the timer
 * and run queues are made of.  Inserting costs the same with one node and with a thousand, removing
 * grows with the logarithm of their number.  It allocates nothing and knows no lock.
 */
#pragma once

#include <stdint.h>

#define HEAP_EMPTY UINT64_MAX /* the first key of an empty heap */

struct heap_node {
    uint64_t key;                           /* set by heap_insert(), constant while in a heap */
    struct heap_node *child, *next, **link; /* first child, next sibling, what points here */
};

struct heap {
    struct heap_node *root; /* the first, or a null pointer */
};

/* The node must be in no heap.  Of equal keys any may come first. */
void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key);
/* The node must be in this heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

static inline uint64_t heap_first_key(const struct heap *heap)
{
    return heap->root ? heap->root->key : HEAP_EMPTY;
}
