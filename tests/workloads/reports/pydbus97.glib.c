/*
 * The mechanism of https://github.com/LEW21/pydbus/issues/97, with GLib itself: the process has a
 * connection to a D-Bus, which a thread "gdbus" of GLib's serves. A forked child makes a call on the
 * connection. It waits in poll() on an eventfd that only this thread would write to. Both ends of the
 * connection are in this program; no bus is needed.
 * The tracer must say: lost-waker.
 *
 * pydbus97 [SECONDS]
 */
#include "../common.h"
#include <gio/gio.h>

static gboolean greet(GDBusServer *server, GDBusConnection *connection, gpointer arg) {
    (void)server, (void)arg;
    g_object_ref(connection);
    return TRUE;
}

static void *serve(void *arg) {
    g_main_loop_run(arg);
    return NULL;
}

int main(int argc, char **argv) {
    GError *error = NULL;
    char *guid = g_dbus_generate_guid();
    GDBusServer *server =
        g_dbus_server_new_sync("unix:tmpdir=/tmp", G_DBUS_SERVER_FLAGS_NONE, guid, NULL, NULL, &error);
    check(server != NULL, error == NULL ? "server" : error->message);
    g_signal_connect(server, "new-connection", G_CALLBACK(greet), NULL);
    g_dbus_server_start(server);
    pthread_t thread;
    start(&thread, serve, g_main_loop_new(NULL, FALSE));
    GDBusConnection *bus = g_dbus_connection_new_for_address_sync(
        g_dbus_server_get_client_address(server), G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL,
        NULL, &error);
    check(bus != NULL, error == NULL ? "connection" : error->message);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", other_threads());
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        g_dbus_connection_call_sync(bus, NULL, "/", "org.freedesktop.DBus.Peer", "Ping", NULL, NULL,
                                    G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL, NULL);
        _exit(98);
    }
    reap();
    _exit(0);
}
