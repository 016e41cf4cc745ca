//! Where connections go, and what ends with the threads.

use std::sync::Mutex;
use std::sync::mpsc;

use super::*;

#[test]
fn connections_go_to_the_thread_that_serves_the_fewest() {
    let workers = Workers::start().unwrap();
    let desks = workers.desks();
    let seats: Vec<_> = (0..2 * count()).map(|_| desks.next().unwrap().0).collect();
    assert!(desks.0.iter().all(|desk| desk.connections.load(Ordering::Relaxed) == 2));
    drop(seats);
    assert!(desks.0.iter().all(|desk| desk.connections.load(Ordering::Relaxed) == 0));
}

#[test]
fn a_connection_stays_on_the_thread_that_accepted_it_unless_another_serves_fewer() {
    let workers = Workers::start().unwrap();
    let desks = workers.desks();
    let (tell, told) = mpsc::channel();
    for worker in &workers.0 {
        let (desks, tell) = (desks.clone(), tell.clone());
        worker.desk.runtime.spawn(async move {
            let (seats, stayed): (Vec<_>, Vec<_>) =
                (0..count()).filter_map(|_| desks.next()).map(|(seat, elsewhere)| (seat, elsewhere.is_none())).unzip();
            drop(seats);
            tell.send(stayed).unwrap();
        });
        let stayed = told.recv().unwrap();
        assert!(stayed[0], "all serve as few");
        assert_eq!(stayed.iter().filter(|stayed| **stayed).count(), 1, "each of the others serves fewer then");
    }
}

#[test]
fn each_thread_has_a_value_of_its_own_and_all_others_share_one() {
    let workers = Workers::start().unwrap();
    let values: Arc<PerWorker<Mutex<Vec<String>>>> = Arc::default();
    let (done, finished) = mpsc::channel();
    for worker in &workers.0 {
        let (values, done) = (Arc::clone(&values), done.clone());
        worker.desk.runtime.spawn(async move {
            let name = thread::current().name().unwrap().to_owned();
            values.own().lock().unwrap().push(name);
            done.send(()).unwrap();
        });
    }
    (0..count()).for_each(|_| finished.recv().unwrap());
    values.own().lock().unwrap().push("others".into());
    let seen: Vec<_> = values.of_workers.iter().map(|value| value.lock().unwrap().join(",")).collect();
    assert_eq!(seen, (0..count()).map(|n| format!("worker-{n}")).collect::<Vec<_>>());
    assert_eq!(*values.of_others.lock().unwrap(), ["others"]);
}

#[test]
fn what_the_threads_still_do_has_ended_when_they_are_dropped() {
    struct Told(mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let workers = Workers::start().unwrap();
    let (tell, told) = mpsc::channel();
    for worker in &workers.0 {
        let held = Told(tell.clone());
        worker.desk.runtime.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
    }
    drop(workers);
    (0..count()).for_each(|_| told.try_recv().unwrap());
}
