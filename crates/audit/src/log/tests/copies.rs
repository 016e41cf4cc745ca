//! Further places, of which none holds anything up.

use std::borrow::Cow;
use std::fs;
use std::io::{Read as _, Write as _};

use super::{config, ids, record, segments, write};
use crate::log::tee::Sink;
use crate::{Log, Record};

struct Copy(std::io::PipeWriter);

impl Sink for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        self.0.write_all(lines)
    }
}

#[test]
fn the_copy_has_the_same_lines_and_the_log_goes_on_without_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let (mut reader, copy) = std::io::pipe().unwrap();
    let log = Log::open_with(&config, vec![Box::new(Copy(copy))]).unwrap();
    write(&log, "a");
    let mut copied = [0; 1024];
    let len = reader.read(&mut copied).unwrap();
    assert!(fs::read(&segments(&config)[0]).unwrap().ends_with(&copied[..len]));
    drop(reader);
    for id in ["b", "c"] {
        write(&log, id);
        log.flush().unwrap();
    }
    log.close();
    assert_eq!(ids(&config), ["a", "b", "c"]);
}

struct Stuck(std::sync::mpsc::Receiver<()>);

impl Sink for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
        let _ = self.0.recv();
        Ok(())
    }
}

#[test]
fn a_place_that_takes_nothing_holds_up_neither_records_nor_the_end_and_what_it_misses_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let (_kept, stuck) = std::sync::mpsc::channel();
    let log = Log::open_with(&config, vec![Box::new(Stuck(stuck))]).unwrap();
    let long = "x".repeat(2000);
    for _ in 0..20 {
        for _ in 0..1000 {
            log.reserve().unwrap().write(|| Record { user_agent: Some(Cow::Borrowed(&long)), ..record("many") });
        }
        log.flush().unwrap();
    }
    let [sink] = log.statistics().sinks[..] else { panic!("one sink") };
    assert!(sink.dropped > 0 && sink.waiting_bytes > 0, "{sink:?}");
    log.close();
    assert_eq!(ids(&config).len(), 20_000);
}
