/* The person's terminal; see tty.h. What signal handlers touch is in one static struct; they use only
 * async-signal-safe calls (signal-safety(7); ioctl is a bare system call). */
#include "agentctl/tty.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "agentctl/screen.h"
#include "common/cleanup.h"
#include "common/io.h"

static struct {
	struct termios cooked, raw_mode;
	volatile sig_atomic_t active, raw, master;
	const char *farewell;
	struct screen screen;
} tty = {.master = -1};

void tty_size(uint16_t *rows, uint16_t *cols)
{
	struct winsize w = {0};

	(void)ioctl(0, TIOCGWINSZ, &w);
	*rows = w.ws_row ? w.ws_row : 24;
	*cols = w.ws_col ? w.ws_col : 80;
}

/* Copies the terminal's size to the pty; the kernel sends SIGWINCH inside when it differs. */
static void follow_size(void)
{
	struct winsize w;

	if (tty.master >= 0 && ioctl(0, TIOCGWINSZ, &w) == 0)
		(void)ioctl(tty.master, TIOCSWINSZ, &w);
}

void tty_master(int fd)
{
	tty.master = fd;
	follow_size();
}

void tty_redraw(void)
{
	struct winsize w;

	if (tty.master < 0 || ioctl(0, TIOCGWINSZ, &w) < 0)
		return;
	w.ws_row = w.ws_row > 1 ? w.ws_row - 1 : 2;
	(void)ioctl(tty.master, TIOCSWINSZ, &w);
	follow_size();
}

void tty_farewell(const char *line)
{
	tty.farewell = line;
}

/* Switches off what the program switched on. */
static void clean_screen(void)
{
	char undo[SCREEN_UNDO_MAX];
	size_t n = screen_undo(&tty.screen, undo);

	memset(&tty.screen, 0, sizeof tty.screen);
	(void)io_write_all(1, undo, n);
}

static void cook(void)
{
	int saved = errno;

	if (tty.raw) {
		tty.raw = 0;
		clean_screen();
		/* The terminal may still be answering what the program asked it: that must not
		 * become the shell's input. */
		(void)tcflush(0, TCIFLUSH);
		(void)tcsetattr(0, TCSANOW, &tty.cooked);
	}
	errno = saved;
}

void tty_leave(void)
{
	tty.active = 0;
	cook();
}

/* Ends the process by the signal, as it would have without a handler. */
static void die_by(int sig)
{
	sigset_t set;

	(void)signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	(void)raise(sig);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void on_end(int sig)
{
	tty_leave();
	if (tty.farewell && (sig == SIGTERM || sig == SIGHUP || sig == SIGINT || sig == SIGQUIT))
		(void)io_write_all(2, tty.farewell, strlen(tty.farewell));
	die_by(sig);
}

static void on_resize(int sig)
{
	int saved = errno;

	(void)sig;
	follow_size();
	errno = saved;
}

static void on_stop(int sig)
{
	(void)sig;
	cook();
	(void)kill(getpid(), SIGSTOP);
}

/* After a stop, by us or by someone else: the shell has set its own modes meanwhile. */
static void on_continue(int sig)
{
	int saved = errno;

	(void)sig;
	if (tty.active && tcgetpgrp(0) == getpgrp() && tcsetattr(0, TCSANOW, &tty.raw_mode) == 0) {
		tty.raw = 1;
		tty_redraw();
	}
	errno = saved;
}

static void catch (int sig, void (*handler)(int))
{
	struct sigaction a = {.sa_flags = SA_RESTART};

	a.sa_handler = handler;
	sigfillset(&a.sa_mask);
	(void)sigaction(sig, &a, NULL);
}

static void catch_all(void)
{
	static const int ends[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGSEGV, SIGBUS, SIGILL,
		SIGFPE, SIGABRT, SIGALRM, SIGXCPU, SIGXFSZ, SIGSYS, SIGUSR1, SIGUSR2};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		catch (ends[i], on_end);
	catch (SIGWINCH, on_resize);
	catch (SIGTSTP, on_stop);
	catch (SIGCONT, on_continue);
	(void)signal(SIGPIPE, SIG_IGN);
}

int tty_enter(struct error *e)
{
	if (tcgetattr(0, &tty.cooked) < 0)
		return error_set(e, errno, "cannot read the terminal's modes");
	tty.raw_mode = tty.cooked;
	cfmakeraw(&tty.raw_mode);
	if (atexit(tty_leave) != 0)
		return error_set(e, 0, "cannot register the terminal's clean-up");
	catch_all();
	if (tcsetattr(0, TCSANOW, &tty.raw_mode) < 0)
		return error_set(e, errno, "cannot set the terminal's modes");
	tty.raw = tty.active = 1;
	return 0;
}

int tty_write(const char *p, size_t n)
{
	screen_feed(&tty.screen, p, n);
	return io_write_all(1, p, n);
}
