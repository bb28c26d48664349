/* SPDX-License-Identifier: MIT */
/* The machine's pair of 8259 interrupt controllers: silenced and left alone. */
#pragma once

/* Both masked, and what they raise spuriously moved out of the exceptions' vectors. */
void i8259_disable(void);
