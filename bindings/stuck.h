/* The end of a program whose loop does not come round: a script is inside one call of C (a pattern that backtracks for
 * ever), where no budget reaches it. A signal that asks for the end is then answered by a timer, or by the next signal.
 */
#ifndef MOONWATCH_STUCK_H
#define MOONWATCH_STUCK_H

#include <stdbool.h>

/* Listen in on `number`, which libuv handles already. Once per signal. */
void mw_stuck_listen(int number);

/* From now on: how long the loop may take to notice a signal, or with `until_the_end` the whole process to end after
 * one; a second signal, a moment later, ends it at once. 0 = for ever, and no signal ends the process. */
void mw_stuck_patience(double seconds, bool until_the_end);

/* The loop has noticed the signals so far. */
void mw_stuck_noticed(void);

/* With a patience of 0: whether the loop has not noticed an INT for a moment. The caller acts on it: once for each. */
bool mw_stuck_take(void);
bool mw_stuck_was_taken(void); /* when the loop comes to notice it; once */

#endif
