#define SPEC_HELPER
#include "peers.h"

#include "bare.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

double peer(const char *format, ...) {
    char command[1024], line[64] = "0";
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    FILE *pipe = popen(command, "r");
    if (!pipe || !fgets(line, sizeof line, pipe))
        fprintf(stderr, "zookeeper_bench: no answer from: %s\n", command);
    if (pipe)
        pclose(pipe);
    return atof(line);
}

#define BEFORE 3
#define AFTER 2

double speed_to(const char *program, const char *its_work, our_work *ours, world *w, const char *servers) {
    double seconds[BEFORE + AFTER];
    for (int i = 0; i < BEFORE; i++)
        seconds[i] = ours(w, servers);
    double theirs = peer("%s %s %s /bench 2>/dev/null", program, its_work, servers);
    for (int i = 0; i < AFTER; i++)
        seconds[BEFORE + i] = ours(w, servers);
    return theirs / bench_median(seconds, BEFORE + AFTER);
}
