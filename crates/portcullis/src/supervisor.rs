//! What systemd hands to its services, and what it is told by them.

use std::net::TcpListener;

use listenfd::ListenFd;

/// Takes the sockets that were handed over (`LISTEN_FDS`). To be called once, before there is another thread: it changes
/// the environment.
pub(crate) fn sockets() -> Vec<TcpListener> {
    let mut handed_over = ListenFd::from_env();
    let sockets = (0..handed_over.len()).filter_map(|index| match handed_over.take_tcp_listener(index) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "a socket that was handed over is none that listens over TCP");
            None
        }
    });
    sockets.collect()
}

/// Tells the supervisor how we stand (`sd_notify`); nothing where there is none.
pub(crate) fn tell(standing: Standing) {
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::{SocketAddr, UnixDatagram};

        #[expect(clippy::disallowed_methods, reason = "this is how a supervisor says where it listens")]
        let Ok(place) = std::env::var("NOTIFY_SOCKET") else { return };
        let address = match place.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&place),
        };
        let text = match standing {
            Standing::Ready => "READY=1".to_owned(),
            // systemd takes `READY=1` for the end of this reload by the time (sd_notify(3)).
            Standing::Reloading => {
                let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
                format!("RELOADING=1\nMONOTONIC_USEC={}{:06}", now.tv_sec, now.tv_nsec / 1000)
            }
            Standing::Stopping => "STOPPING=1".to_owned(),
        };
        let told = UnixDatagram::unbound()
            .and_then(|socket| address.and_then(|address| socket.send_to_addr(text.as_bytes(), &address)));
        if let Err(error) = told {
            tracing::warn!(%error, "the supervisor cannot be told");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = standing;
}

/// How we stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Ready,
    Reloading,
    Stopping,
}
