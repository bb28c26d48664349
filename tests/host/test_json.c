/* SPDX-License-Identifier: MIT */
/* The monitor's JSON: exact lines, escapes, and objects that are too long. */
#include "hv/monitor/json.h"

#include "tests/host/check.h"

#include <stddef.h>
#include <string.h>

static char written[2 * JSON_LINE];
static unsigned int writes;

void console_write(const char *text, size_t size)
{
    writes++;
    memcpy(written, text, size);
    written[size] = '\0';
}

static void test_values(void)
{
    json_begin("guest");
    json_string("name", "a");
    json_number("most", UINT64_MAX);
    json_number("none", 0);
    json_bool("yes", true);
    json_bool("no", false);
    json_end();
    CHECK(strcmp(written, "{\"type\":\"guest\",\"name\":\"a\",\"most\":18446744073709551615,"
                          "\"none\":0,\"yes\":true,\"no\":false}\n") == 0,
          "an object is one line");
    CHECK(writes == 1, "that is written in one piece");
}

static void test_escapes(void)
{
    json_begin("x");
    json_string("s", "\"\\\n\x1b\x7f\xe4 ~");
    json_end();
    CHECK(strcmp(written,
                 "{\"type\":\"x\",\"s\":\"\\u0022\\u005c\\u000a\\u001b\\u007f\\u00e4 ~\"}\n") == 0,
          "what is not plain is escaped");
}

static void test_length(void)
{
    static char text[JSON_LINE + 1];
    unsigned int whole = 0, replaced = 0;

    for (size_t size = JSON_LINE - 100; size <= JSON_LINE; size++) {
        memset(text, 'x', size);
        text[size] = '\0';
        json_begin("x");
        json_string("s", text);
        json_end();
        if (strlen(written) == strlen("{\"type\":\"x\",\"s\":\"\"}\n") + size)
            whole++;
        else if (strcmp(written,
                        "{\"type\":\"error\",\"error\":\"the answer does not fit a line\"}\n") == 0)
            replaced++;
    }
    CHECK(whole == 100 - strlen("{\"type\":\"x\",\"s\":\"\"}\n") + 1,
          "an object may fill the line");
    CHECK(whole + replaced == 101, "a longer one is replaced by an error");
}

int main(void)
{
    test_values();
    test_escapes();
    test_length();
    return check_done();
}
