/* SPDX-License-Identifier: MIT */
/* The ring of a guest's output (see scrollback.h): places count from its first byte and never wrap.
 */
#include "hv/scrollback.h"

#include "hv/util.h"

static uint8_t at(const struct scrollback *sb, uint64_t place)
{
    return sb->bytes[place % SCROLLBACK_SIZE];
}

static uint64_t oldest(const struct scrollback *sb)
{
    return sb->end - scrollback_kept(sb);
}

static void show_from(struct scrollback *sb, uint64_t place)
{
    sb->shown = sb->scanned = place;
}

void scrollback_put(struct scrollback *sb, uint8_t byte)
{
    sb->bytes[sb->end++ % SCROLLBACK_SIZE] = byte;
    sb->shown = MAX(sb->shown, oldest(sb));
    sb->scanned = MAX(sb->scanned, sb->shown);
}

bool scrollback_is_full(const struct scrollback *sb)
{
    return scrollback_unshown(sb) == SCROLLBACK_SIZE;
}

uint32_t scrollback_kept(const struct scrollback *sb)
{
    return (uint32_t)MIN(sb->end, SCROLLBACK_SIZE);
}

uint32_t scrollback_unshown(const struct scrollback *sb)
{
    return (uint32_t)(sb->end - sb->shown);
}

uint32_t scrollback_take(struct scrollback *sb, uint8_t *bytes, uint32_t max)
{
    uint32_t count = MIN(scrollback_unshown(sb), max);

    for (uint32_t i = 0; i < count; i++)
        bytes[i] = at(sb, sb->shown + i);
    show_from(sb, sb->shown + count);
    return count;
}

uint32_t scrollback_line(struct scrollback *sb, uint32_t max)
{
    for (; sb->scanned < sb->end; sb->scanned++)
        if (at(sb, sb->scanned) == '\n' || sb->scanned + 1 - sb->shown >= max)
            return (uint32_t)(sb->scanned + 1 - sb->shown);
    return 0;
}

/* Where the last lines begin, one without an end being the last; the oldest byte when there are not
 * so many. */
static uint64_t last_lines(const struct scrollback *sb, unsigned int lines)
{
    uint64_t place = sb->end;

    while (place > oldest(sb)) {
        if (at(sb, place - 1) == '\n' && place != sb->end && --lines == 0)
            break;
        place--;
    }
    return place;
}

/* The beginning of a line: behind the one that is cut, unless that is all there is. */
static uint64_t whole_from(const struct scrollback *sb, uint64_t place)
{
    if (place == 0 || place != oldest(sb))
        return place;
    for (uint64_t next = place; next < sb->end; next++)
        if (at(sb, next) == '\n' && next + 1 != sb->end)
            return next + 1;
    return place;
}

void scrollback_skip(struct scrollback *sb, unsigned int lines, uint32_t max)
{
    uint64_t place = MAX(last_lines(sb, lines), sb->end - MIN(sb->end, max));

    show_from(sb, MAX(sb->shown, place));
}

void scrollback_rewind(struct scrollback *sb, unsigned int lines)
{
    show_from(sb, whole_from(sb, MIN(sb->shown, last_lines(sb, lines))));
}
