//! A DNS server on loopback.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;

/// A DNS server that answers every question with what the test says.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    says: Arc<Mutex<Vec<IpAddr>>>,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(says: &[IpAddr]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (says, asked) = (Arc::new(Mutex::new(says.to_vec())), Arc::<AtomicUsize>::default());
        let (told, counted) = (Arc::clone(&says), Arc::clone(&asked));
        tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                let answer = answer(&question[..length], &told.lock().unwrap());
                counted.fetch_add(1, Ordering::SeqCst);
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        Self { address, says, asked }
    }

    pub(crate) fn say(&self, says: &[IpAddr]) {
        *self.says.lock().unwrap() = says.to_vec();
    }

    /// Waits until the proxy has asked again, and has had the time to hear.
    pub(crate) async fn asked_again(&self) {
        let before = self.asked.load(Ordering::SeqCst);
        while self.asked.load(Ordering::SeqCst) < before + 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Answers a question of one name with a TTL of one second; without an address with SERVFAIL.
fn answer(question: &[u8], says: &[IpAddr]) -> Vec<u8> {
    let name = question[12..].iter().position(|byte| *byte == 0).unwrap() + 13;
    let kind = question[name + 1];
    let records: Vec<Vec<u8>> = says
        .iter()
        .filter_map(|ip| match ip {
            IpAddr::V4(ip) if kind == 1 => Some(ip.octets().to_vec()),
            IpAddr::V6(ip) if kind == 28 => Some(ip.octets().to_vec()),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
        .collect();
    let code = if says.is_empty() { 2 } else { 0 };
    let mut answer =
        vec![question[0], question[1], 0x81, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0];
    answer.extend_from_slice(&question[12..name + 4]);
    for record in records {
        answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 1, 0, u8::try_from(record.len()).unwrap()]);
        answer.extend(record);
    }
    answer
}
