/* sd_notify(3) without its library: READY=1, WATCHDOG=1, STOPPING=1 to $NOTIFY_SOCKET, when systemd
 * gave one. */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

#include <stdint.h>

void notify_ready(void);
void notify_alive(uint64_t now_ns); /* at most once a second */
void notify_stopping(void);

#endif
