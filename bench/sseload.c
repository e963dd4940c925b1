/* sseload: a load client for servers of Server-Sent Events on 127.0.0.1, with one thread, epoll and a limit for each wait.
 *
 * bench/streams.py builds and runs it; it prints one line of JSON. A publish contains "~T<19 digits of CLOCK_MONOTONIC>~",
 * which the server must deliver unchanged. The client counts lost events and checks that all streams received the same
 * order. After a late event it publishes nothing more, so that no figure contains events of an earlier measurement.
 * --socketio: streams are socket.io v4 over WebSocket; the client opens the namespace ("40") and answers pings ("2") with "3".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAXN 18000
#define MAXPUB 64
#define CARRY 24                       /* marker is "~T" + 19 digits + "~" = 22 bytes */

typedef struct { int fd; uint8_t st; uint8_t ncarry; char carry[CARRY]; int64_t t0; uint32_t got; uint8_t bye, whole; uint64_t order; uint64_t skip; uint8_t nhead, head[11]; } Conn;
enum { C_NEW, C_CONNECTING, C_HDR, C_NAMESPACE, C_READY, C_DEAD };
typedef struct { int fd, busy, hlen; char buf[4096]; int64_t t_sent; } Pub;

static Conn conns[MAXN];
static Pub pubs[MAXPUB];
static int N = 1000, inflight_max = 128, port = 8000, npub = 16, ep, bytes = 200;
static const char *sub_t = "/sse?u=%d", *pub_t = "/pub";
static int rounds = 10, burst = 20, hold = 0, par = 0, settle_ms = 300, socketio, open_s = 40;
static int pids[16], npids, term_pid;
static const char *auth = "", *type = "application/json", *before = "", *after = "";
static char **heads; static int nheads;
static int ready, dead, pub_err;
static int64_t received, last_rx, bytes_rx;
static int64_t *lat; static size_t nlat, caplat; static int rec_lat;
static int64_t *clat; static size_t nclat;

static int64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000LL + t.tv_nsec; }
static int cmp64(const void *a, const void *b) { int64_t x = *(int64_t *)a, y = *(int64_t *)b; return x < y ? -1 : x > y; }
static double pct(int64_t *a, size_t n, double p) { if (!n) return -1; size_t i = (size_t)(p * (n - 1) + .5); return a[i] / 1e6; }

/* ---- server cost: CPU ns (schedstat, all threads) and RSS of the given pids ---- */
static int64_t wait_ns;                /* time the server's threads sat on a run queue: >0 means the core was shared */
static int64_t cpu_ns(void) {
  int64_t tot = 0; wait_ns = 0; char p[300];
  for (int i = 0; i < npids; i++) {
    snprintf(p, sizeof p, "/proc/%d/task", pids[i]);
    DIR *d = opendir(p); if (!d) continue;
    struct dirent *e;
    while ((e = readdir(d))) if (e->d_name[0] != '.') {
      snprintf(p, sizeof p, "/proc/%d/task/%s/schedstat", pids[i], e->d_name);
      FILE *f = fopen(p, "r"); long long v = 0, w = 0; if (f) { if (fscanf(f, "%lld %lld", &v, &w) == 2) { tot += v; wait_ns += w; } fclose(f); }
    }
    closedir(d);
  }
  return tot;
}
static int64_t self_cpu(void) { struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec * 1000000000LL + t.tv_nsec; }
static long rss_kb(void) {
  long tot = 0; char p[64], l[256];
  for (int i = 0; i < npids; i++) {
    snprintf(p, sizeof p, "/proc/%d/status", pids[i]); FILE *f = fopen(p, "r"); if (!f) continue;
    while (fgets(l, sizeof l, f)) if (!strncmp(l, "VmRSS:", 6)) tot += atol(l + 6);
    fclose(f);
  }
  return tot;
}

static int mksock(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); if (fd < 0) { perror("socket"); exit(1); }
  int one = 1; setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct linger lg = {1, 0}; setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);   /* no TIME_WAIT pile-up */
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (void *)&a, sizeof a) < 0 && errno != EINPROGRESS) { perror("connect"); exit(1); }
  return fd;
}
static void arm(int fd, uint32_t ev, uint32_t id, int op) { struct epoll_event e = {.events = ev, .data.u32 = id}; epoll_ctl(ep, op, fd, &e); }

static void sub_start(int i) {
  Conn *c = &conns[i]; c->t0 = now(); c->fd = mksock(); c->st = C_CONNECTING; c->ncarry = 0; c->got = 0;
  arm(c->fd, EPOLLOUT, i, EPOLL_CTL_ADD);
}
static void is_ready(Conn *c) { c->st = C_READY; ready++; clat[nclat++] = now() - c->t0; }

static void scan(Conn *c, char *b, size_t n, int64_t t) {   /* b has CARRY free bytes before it */
  if (c->ncarry) { memcpy(b - c->ncarry, c->carry, c->ncarry); b -= c->ncarry; n += c->ncarry; c->ncarry = 0; }
  char *p = b, *end = b + n, *m;
  while ((m = memmem(p, end - p, "~T", 2))) {
    if (end - m < 22) break;
    c->got++; received++; last_rx = t; { uint64_t v = 0; for (int i = 2; i < 21; i++) v = v * 10 + (m[i] - '0'); c->order = c->order * 1000003u + v; }
    if (rec_lat && nlat < caplat) { int64_t v = 0; for (int i = 2; i < 21; i++) v = v * 10 + (m[i] - '0'); lat[nlat++] = t - v; }
    p = m + 22;
  }
  size_t left = end - p; if (left > CARRY - 3) { p = end - (CARRY - 3); left = CARRY - 3; }
  memcpy(c->carry, p, left); c->ncarry = left;
}

/* ---- socket.io: the WebSocket frames of a server are not masked; only the first two bytes of a payload are used ---- */
static void ws_text(int fd, const char *s) {   /* the frame of a client is masked, here with zeros */
  unsigned char b[64]; size_t n = strlen(s); b[0] = 0x81; b[1] = 0x80 | n; memset(b + 2, 0, 4); memcpy(b + 6, s, n);
  if (write(fd, b, n + 6) < 0) perror("write");
}
static size_t ws_length(const uint8_t *h, uint64_t *length) {   /* returns the length of the header; sets the length of the payload */
  size_t more = (h[1] & 127) == 126 ? 2 : (h[1] & 127) == 127 ? 8 : 0; *length = more ? 0 : h[1] & 127;
  for (size_t i = 0; i < more; i++) *length = *length << 8 | h[2 + i];
  return 2 + more;
}
static void ws_frames(Conn *c, const char *b, size_t n) {
  while (n) {
    if (c->skip) { size_t k = c->skip < n ? c->skip : n; c->skip -= k; b += k; n -= k; continue; }
    c->head[c->nhead++] = *b++; n--;
    uint64_t length; size_t at;
    if (c->nhead < 2 || c->nhead < (at = ws_length(c->head, &length))) continue;
    if (c->nhead < at + (length ? 1 : 0)) continue;
    char kind = length ? c->head[at] : 0;
    if (kind == '0') ws_text(c->fd, "40");
    if (kind == '2' && length == 1) ws_text(c->fd, "3");
    if (kind == '4' && c->st == C_NAMESPACE) is_ready(c);
    c->skip = length ? length - 1 : 0; c->nhead = 0;
  }
}
static void lost(int i) { Conn *c = &conns[i]; if (c->st == C_READY) ready--; c->st = C_DEAD; dead++; epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL); close(c->fd); }

static void sub_event(int i, uint32_t ev) {
  static char raw[65536 + CARRY + 8]; char *buf = raw + CARRY + 4;
  Conn *c = &conns[i];
  if (c->st == C_CONNECTING) {
    int err = 0; socklen_t l = sizeof err; getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &l);
    if (err) { c->st = C_DEAD; dead++; close(c->fd); return; }
    static const char upgrade[] = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    char path[256], req[1024]; snprintf(path, sizeof path, sub_t, i);
    int n = snprintf(req, sizeof req, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s\r\n", path, port, socketio ? upgrade : "Accept: text/event-stream\r\n", nheads ? heads[i % nheads] : "");
    if (write(c->fd, req, n) != n) { c->st = C_DEAD; dead++; return; }
    c->st = C_HDR; arm(c->fd, EPOLLIN, i, EPOLL_CTL_MOD); return;
  }
  ssize_t n = recv(c->fd, buf, 65536, 0);
  if (n <= 0) { if (n < 0 && errno == EAGAIN) return; lost(i); return; }
  bytes_rx += n;
  int64_t t = now();
  char *body = buf; size_t left = n;
  if (c->st == C_HDR) {
    char *end = memmem(buf, n, "\r\n\r\n", 4); if (!end) return;
    if (!memmem(buf, n > 20 ? 20 : n, socketio ? " 101 " : " 200 ", 5)) { static int shown; if (!shown++) fprintf(stderr, "bad response: %.*s\n", (int)(n > 300 ? 300 : n), buf); lost(i); return; }
    if (socketio) { c->st = C_NAMESPACE; left -= end + 4 - body; body = end + 4; } else is_ready(c);
  }
  if (socketio) ws_frames(c, body, left);
  if (term_pid) { if (memmem(buf, n, "event: bye", 10)) c->bye = 1; c->whole = n >= 5 && !memcmp(buf + n - 5, "0\r\n\r\n", 5); }
  scan(c, buf, n, t);
}

static void pub_open(int k) {
  pubs[k].fd = mksock(); pubs[k].busy = 0; pubs[k].hlen = 0;
  struct timespec ts = {0, 1000000};
  for (int i = 0; i < 500; i++) {        /* wait at most 0.5 s until connected */
    struct tcp_info ti; socklen_t l = sizeof ti;
    if (!getsockopt(pubs[k].fd, IPPROTO_TCP, TCP_INFO, &ti, &l) && ti.tcpi_state == TCP_ESTABLISHED) break;
    nanosleep(&ts, 0);
  }
  arm(pubs[k].fd, EPOLLIN, MAXN + k, EPOLL_CTL_ADD);
}
static void pub_raw(int k, const char *path, const char *body, int bl) {
  char req[4096]; int n = snprintf(req, sizeof req, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n", path, port, auth, type, bl);
  memcpy(req + n, body, bl); n += bl;
  pubs[k].busy = 1; pubs[k].hlen = 0; pubs[k].t_sent = now();
  if (write(pubs[k].fd, req, n) != n) { pub_err++; pubs[k].busy = 0; }
}
static void pub_send(int k, const char *path, int64_t ts) {
  char body[2048]; int n = snprintf(body, sizeof body, "%s{\"type\":\"notice\",\"ts\":\"~T%019lld~\",\"pad\":\"", before, (long long)ts);
  int pad = bytes - n - 2; if (pad < 0) pad = 0; memset(body + n, 'x', pad); n += pad; n += snprintf(body + n, sizeof body - n, "\"}%s", after);
  pub_raw(k, path, body, n);
}
static void pub_event(int k) {
  Pub *p = &pubs[k]; ssize_t n = recv(p->fd, p->buf + p->hlen, sizeof p->buf - 1 - p->hlen, 0);
  if (n <= 0) { if (n < 0 && errno == EAGAIN) return; pub_err += p->busy; epoll_ctl(ep, EPOLL_CTL_DEL, p->fd, NULL); close(p->fd); p->busy = 0; if (!term_pid) pub_open(k); return; }
  p->hlen += n; p->buf[p->hlen] = 0;
  char *h = strstr(p->buf, "\r\n\r\n"); if (!h) return;
  int code = atoi(p->buf + 9); char *cl = strcasestr(p->buf, "content-length:");
  int done = 0;
  if (code == 204) done = 1;
  else if (cl && cl < h) done = p->hlen >= (h + 4 - p->buf) + atoi(cl + 15);
  else done = strstr(h, "0\r\n\r\n") != NULL;
  if (done) { p->busy = 0; if (code >= 300) { static int shown; if (!shown++) fprintf(stderr, "publish failed: %.200s\n", p->buf); pub_err++; } }
}
static int poll_once(int64_t timeout_ns) {
  struct epoll_event ev[512]; struct timespec ts = {timeout_ns / 1000000000LL, timeout_ns % 1000000000LL};
  int n = epoll_pwait2(ep, ev, 512, timeout_ns < 0 ? NULL : &ts, NULL);
  for (int i = 0; i < n; i++) if (ev[i].data.u32 >= MAXN) pub_event(ev[i].data.u32 - MAXN); else sub_event(ev[i].data.u32, ev[i].events);
  return n;
}
static void settle(int ms) { int64_t e = now() + ms * 1000000LL, t; while ((t = now()) < e) poll_once(e - t); }

static int want_each, behind;
static void read_heads(const char *file) {   /* one line per stream: its request headers, with ^ for \r\n */
  FILE *f = fopen(file, "r"); char l[1024]; if (!f) { perror(file); exit(1); }
  heads = malloc(MAXN * sizeof *heads);
  while (nheads < MAXN && fgets(l, sizeof l, f)) {
    char *h = malloc(2 * strlen(l) + 1), *o = h;
    for (char *c = l; *c && *c != '\n'; c++) if (*c == '^') { *o++ = '\r'; *o++ = '\n'; } else *o++ = *c;
    *o = 0; heads[nheads++] = h;
  }
  fclose(f);
}

int main(int ac, char **av) {
  for (int i = 1; i < ac; i++) {
    char *o = av[i];
#define OPT(s) (!strcmp(o, s) && i + 1 < ac && (v = av[++i]))
    char *v;
    if (OPT("--port")) port = atoi(v); else if (OPT("-n")) N = atoi(v); else if (OPT("--inflight")) inflight_max = atoi(v);
    else if (OPT("--sub")) sub_t = v; else if (OPT("--auth")) auth = v; else if (OPT("--before")) before = v; else if (OPT("--after")) after = v; else if (OPT("--heads")) read_heads(v); else if (OPT("--term")) term_pid = atoi(v); else if (OPT("--want")) want_each = atoi(v); else if (OPT("--pub")) pub_t = v; else if (OPT("--type")) type = v; else if (OPT("--open")) open_s = atoi(v);
    else if (!strcmp(o, "--socketio")) socketio = 1;
    else if (OPT("--bytes")) bytes = atoi(v); else if (OPT("--rounds")) rounds = atoi(v); else if (OPT("--burst")) burst = atoi(v);
    else if (OPT("--par")) par = atoi(v); else if (OPT("--hold")) hold = atoi(v); else if (OPT("--settle")) settle_ms = atoi(v); 
    else if (OPT("--pids")) { for (char *t = strtok(v, ","); t && npids < 16; t = strtok(NULL, ",")) pids[npids++] = atoi(t); }
    else { fprintf(stderr, "unknown option %s\n", o); return 2; }
  }
  if (N > MAXN) N = MAXN;
  prctl(PR_SET_TIMERSLACK, 1); setvbuf(stdout, NULL, _IOLBF, 0);
  ep = epoll_create1(0); caplat = 4000000; lat = malloc(caplat * 8); clat = malloc(MAXN * 8);

  /* (a) connect */
  long rss0 = rss_kb(); int64_t c0 = cpu_ns(), t0 = now(), deadline = t0 + open_s * 1000000000LL; int started = 0;
  while (ready + dead < N && now() < deadline) {
    while (started < N && started - ready - dead < inflight_max) sub_start(started++);
    poll_once(100000000);
  }
  int64_t t1 = now(); qsort(clat, nclat, 8, cmp64);
  printf("{\"n\":%d,\"ready\":%d,\"dead\":%d,\"connect_s\":%.3f,\"connect_per_s\":%.0f,\"conn_ms_p50\":%.2f,\"conn_ms_p99\":%.2f,\"connect_cpu_us\":%.1f", N, ready, dead, (t1 - t0) / 1e9, ready / ((t1 - t0) / 1e9), pct(clat, nclat, .5), pct(clat, nclat, .99), (cpu_ns() - c0) / 1e3 / (ready ? ready : 1));
  if (want_each) { int64_t want = (int64_t)want_each * ready, e = now() + 20000000000LL; while (received < want && now() < e) poll_once(50000000);
    printf(",\"replay_s\":%.3f,\"replay_lost\":%lld", (last_rx - t0) / 1e9, (long long)(want - received)); }
  if (ready < N) { printf("}\n"); return 0; }
  settle(settle_ms + N / 20);
  long rss1 = rss_kb();
  printf(",\"rss0_mb\":%.1f,\"rss_n_mb\":%.1f,\"kb_per_conn\":%.2f", rss0 / 1024., rss1 / 1024., (rss1 - rss0) / (double)N);
  for (int k = 0; k < npub; k++) pub_open(k);

  /* (b) fan-out: one broadcast at a time, until all streams have it */
  if (rounds) {
    double *ms = malloc(rounds * sizeof *ms); int64_t cpu = 0, cl = 0, tot = 0, wt = 0, wall = 0; int ok = 0; rec_lat = 1; nlat = 0;
    for (int r = 0; r < rounds + 2; r++) {
      int64_t want = received + ready; if (r == 2) nlat = 0; int64_t cc = cpu_ns(), w0 = wait_ns, sc = self_cpu(), ts = now(); pub_send(0, pub_t, ts);
      while ((received < want || pubs[0].busy) && now() < ts + 20000000000LL) poll_once(50000000);
      if (received < want) { behind = 1; break; }
      if (r < 2) { settle(20); continue; }
      ms[ok++] = (last_rx - ts) / 1e6; cpu += cpu_ns() - cc; wt += wait_ns - w0; wall += last_rx - ts; cl += self_cpu() - sc; tot += ready; settle(20);
    }
    if (behind) printf(",\"bcast_ok\":\"%d/%d\"", ok, rounds);
    else {
    int64_t *m = malloc(rounds * 8); for (int i = 0; i < rounds; i++) m[i] = ms[i] * 1e6; qsort(m, rounds, 8, cmp64); qsort(lat, nlat, 8, cmp64);
    double med = pct(m, rounds, .5);
    printf(",\"bcast_ok\":\"%d/%d\",\"bcast_ms_med\":%.2f,\"bcast_ms_min\":%.2f,\"bcast_ms_max\":%.2f,\"bcast_ev_s\":%.0f,\"bcast_lat_p50\":%.2f,\"bcast_lat_p99\":%.2f,\"bcast_cpu_us_per_ev\":%.2f,\"client_us_per_ev\":%.2f,\"bcast_wait_pct\":%.1f", ok, rounds, med, pct(m, rounds, 0), pct(m, rounds, 1), ready / (med / 1e3), pct(lat, nlat, .5), pct(lat, nlat, .99), cpu / 1e3 / tot, cl / 1e3 / tot, 100. * wt / (wall + 1));
    }
  }
  /* (c) sustained: `burst` broadcasts, each posted when the previous POST has a response */
  if (burst && !behind) {
    rec_lat = 0; int64_t want = received + (int64_t)ready * burst, r0 = received; int64_t cc = cpu_ns(), w0 = wait_ns, ts = now(); int sent = 0;
    while ((received < want) && now() < ts + 60000000000LL) { if (sent < burst && !pubs[0].busy) { pub_send(0, pub_t, now()); sent++; } poll_once(50000000); }
    double s = (last_rx - ts) / 1e9; int64_t c2 = cpu_ns(); printf(",\"burst_ev_s\":%.0f,\"burst_lost\":%lld,\"burst_cpu_us_per_ev\":%.2f,\"burst_wait_pct\":%.1f", (received - r0) / s, (long long)(want - received), (c2 - cc) / 1e3 / (received - r0 + 1), (wait_ns - w0) / 1e7 / s); behind = received < want; settle(300);
  }
  /* (d) sustained, with `par` concurrent publishers (a server may coalesce) */
  if (burst && par && !behind) {
    if (par > npub) par = npub;
    int total = burst * par; rec_lat = 1; nlat = 0; int64_t want = received + (int64_t)ready * total, r0 = received; int64_t cc = cpu_ns(), b0 = bytes_rx, ts = now(); int sent = 0;
    while ((received < want) && now() < ts + 60000000000LL) { for (int k = 0; k < par && sent < total; k++) if (!pubs[k].busy) { pub_send(k, pub_t, now()); sent++; } poll_once(50000000); }
    double s = (last_rx - ts) / 1e9; int64_t c2 = cpu_ns(); qsort(lat, nlat, 8, cmp64);
    printf(",\"par_ev_s\":%.0f,\"par_lost\":%lld,\"par_cpu_us_per_ev\":%.2f,\"par_lat_p50\":%.2f,\"par_lat_p99\":%.2f,\"par_mb_s\":%.0f", (received - r0) / s, (long long)(want - received), (c2 - cc) / 1e3 / (received - r0 + 1), pct(lat, nlat, .5), pct(lat, nlat, .99), (bytes_rx - b0) / s / 1e6); behind = received < want; settle(300);
  }
  /* (e) idle hold */
  if (hold && !behind) { int64_t b0 = bytes_rx, cc = cpu_ns(), ts = now(); settle(hold * 1000); double s = (now() - ts) / 1e9; printf(",\"hold_s\":%.1f,\"hold_cpu_pct\":%.2f,\"hold_bytes\":%lld", s, (cpu_ns() - cc) / 1e7 / s, (long long)(bytes_rx - b0)); }
  int same = 1; for (int i = 1; i < N; i++) if (conns[i].st == C_READY && conns[i].order != conns[0].order) same = 0;
  printf(",\"same_order\":%s", same ? "true" : "false");
  if (term_pid) {
    int64_t ts = now(), c1 = cpu_ns(); (void)c1; kill(term_pid, SIGTERM);
    while (ready && now() < ts + 30000000000LL) poll_once(50000000);
    int64_t closed = now() - ts; char p[64]; snprintf(p, sizeof p, "/proc/%d/stat", term_pid);
    int gone = 0;
    while (!gone && now() < ts + 30000000000LL) { char st[400] = ""; FILE *f = fopen(p, "r"); if (!f) break; if (!fgets(st, sizeof st, f)) gone = 1; fclose(f); char *q = strrchr(st, ')'); if (q && q[2] == 'Z') gone = 1; usleep(2000); }
    int byes = 0, whole = 0; for (int i = 0; i < N; i++) { byes += conns[i].bye; whole += conns[i].whole; }
    printf(",\"term_closed_ms\":%.0f,\"term_exit_ms\":%.0f,\"term_byes\":%d,\"term_whole\":%d", closed / 1e6, (now() - ts) / 1e6, byes, whole);
  }
    long rss2 = rss_kb(); int dead_end = dead;
  /* close all streams and wait until the server has released them */
  int64_t cc = cpu_ns();
  for (int i = 0; i < started; i++) if (conns[i].st != C_DEAD) close(conns[i].fd);
  for (int i = 0; i < 40; i++) { int64_t a = cpu_ns(); usleep(100000); if (i > 4 && cpu_ns() - a < 3000000) break; }
  printf(",\"rss_loaded_mb\":%.1f,\"rss_after_close_mb\":%.1f,\"close_cpu_us\":%.1f,\"pub_err\":%d,\"dead_end\":%d}\n", rss2 / 1024., rss_kb() / 1024., (cpu_ns() - cc) / 1e3 / N, pub_err, dead_end);
  return 0;
}
