/* SPDX-License-Identifier: MIT */
/* Pairing heaps of nodes in other structures. */
#include "hv/heap.h"

#include <stddef.h>

/* Two heaps become one; either may be empty.  The result's link is the caller's to set. */
static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->key < a->key) {
        struct heap_node *other = a;

        a = b;
        b = other;
    }
    b->next = a->child;
    if (b->next)
        b->next->link = &b->next;
    a->child = b;
    b->link = &a->child;
    return a;
}

/* A list of siblings becomes one heap: in pairs from the left, then the pairs together. */
static struct heap_node *meld_siblings(struct heap_node *list)
{
    struct heap_node *pairs = NULL;
    struct heap_node *result = NULL;

    while (list) {
        struct heap_node *a = list;
        struct heap_node *b = a->next;

        list = b ? b->next : NULL;
        a->next = NULL;
        if (b)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct heap_node *pair = pairs;

        pairs = pair->next;
        pair->next = NULL;
        result = meld(result, pair);
    }
    return result;
}

static void set_root(struct heap *heap, struct heap_node *root)
{
    heap->root = root;
    if (root)
        root->link = &heap->root;
}

void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key)
{
    *node = (struct heap_node){.key = key};
    set_root(heap, meld(heap->root, node));
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    *node->link = node->next;
    if (node->next)
        node->next->link = node->link;
    set_root(heap, meld(heap->root, meld_siblings(node->child)));
    *node = (struct heap_node){.key = node->key};
}
