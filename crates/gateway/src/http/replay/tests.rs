use super::*;
use crate::outlet::Outlet;

fn replay(events: usize, bytes: usize) -> (Arc<Replay>, TaskTracker) {
    let limits = Limits {
        replay_events: events,
        replay_bytes: bytes,
        ..Limits::default()
    };
    (Replay::new(&limits), TaskTracker::new())
}

/// Events and bytes that are kept.
fn kept(replay: &Replay) -> (usize, usize) {
    let streams = replay.lock();
    (streams.events, streams.bytes)
}

/// The data of what a reader has to take, until it is over or nothing is left.
async fn data(reader: &Reader) -> Vec<String> {
    let mut data = Vec::new();
    loop {
        tokio::task::yield_now().await;
        match reader.take(1) {
            Taken::Events(chunk) => {
                let text = String::from_utf8(chunk).unwrap();
                data.extend(
                    text.lines()
                        .filter_map(|line| line.strip_prefix("data: "))
                        .map(str::to_owned),
                );
            }
            Taken::Over => {
                data.push("over".to_owned());
                return data;
            }
            Taken::Nothing => return data,
        }
    }
}

async fn fill(outlet: &Outlet, lines: &[&str]) {
    for line in lines {
        outlet.send_line(line.as_bytes().to_vec(), None).await.unwrap();
    }
    // The task that fills the stream runs on this thread, too.
    for _ in 0..lines.len() + 2 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn places() {
    for (text, is_one) in [
        ("0-0", true),
        ("3-17", true),
        ("g3-17", true),
        ("g18446744073709551615-0", true),
        ("18446744073709551616-0", false),
        ("", false),
        ("-", false),
        ("1-", false),
        ("g-1", false),
        ("+1-1", false),
        ("1-1-1", false),
        ("x1-1", false),
        ("1-1 ", false),
    ] {
        let place = Place::parse(text);
        assert_eq!(place.is_some(), is_one, "{text:?}");
        assert!(place.is_none_or(|place| place.to_string() == text), "{text:?}");
    }
}

#[tokio::test]
async fn goes_on_after_any_event() {
    let (replay, tasks) = replay(100, 1_000);
    let (outlet, queue) = Outlet::new();
    let reader = replay.open(&tasks, Purpose::Answer(None), None, queue);
    let start = reader.start;
    fill(&outlet, &["a", "b"]).await;
    assert_eq!(data(&reader).await, ["a", "b"]);
    drop(reader);
    fill(&outlet, &["c"]).await;
    outlet
        .send_line(b"d".to_vec(), Some(StatusCode::OK))
        .await
        .unwrap();
    for (after, wanted) in [
        (0, vec!["a", "b", "c", "d", "over"]),
        (1, vec!["b", "c", "d", "over"]),
        (3, vec!["d", "over"]),
        (4, vec!["over"]),
        (u64::MAX, vec!["over"]),
    ] {
        let place = Place {
            event: start.event.saturating_add(after),
            ..start
        };
        let reader = replay.resume(place).unwrap();
        assert_eq!(data(&reader).await, wanted, "after {after}");
    }
    assert!(
        replay
            .resume(Place {
                is_general: true,
                ..start
            })
            .is_none()
    );
    assert!(replay.resume(Place { stream: 7, ..start }).is_none());
}

#[tokio::test]
async fn who_comes_later_takes_the_stream() {
    let (replay, tasks) = replay(100, 1_000);
    let (outlet, queue) = Outlet::new();
    let first = replay.open(&tasks, Purpose::General, None, queue);
    let second = replay.resume(first.start).unwrap();
    fill(&outlet, &["a"]).await;
    assert_eq!(data(&first).await, ["over"]);
    drop(first);
    assert_eq!(data(&second).await, ["a"]);
    assert!(replay.is_read());
    drop(second);
    assert!(!replay.is_read());
}

#[tokio::test]
async fn a_reader_is_waited_for_and_nobody_else() {
    let (replay, tasks) = replay(2, 1_000);
    let (outlet, queue) = Outlet::new();
    let reader = replay.open(&tasks, Purpose::General, None, queue);
    fill(&outlet, &["a", "b", "c", "d"]).await;
    assert_eq!(data(&reader).await, ["a", "b", "c", "d"], "none is lost");
    let start = reader.start;
    drop(reader);
    fill(&outlet, &["e", "f", "g"]).await;
    let reader = replay.resume(start).unwrap();
    assert_eq!(data(&reader).await, ["f", "g"], "the oldest gave way");
    assert_eq!(kept(&replay), (2, 2));
}

#[tokio::test]
async fn an_answer_that_is_too_long_leaves_word() {
    let (replay, tasks) = replay(10, 1_000);
    let (outlet, queue) = Outlet::new();
    let reader = replay.open(&tasks, Purpose::Answer(Some(7.into())), None, queue);
    let start = reader.start;
    drop(reader);
    outlet
        .send_line(vec![b'x'; 5_000], Some(StatusCode::OK))
        .await
        .unwrap();
    // It comes while nobody reads.
    fill(&outlet, &[]).await;
    let reader = replay.resume(start).unwrap();
    let data = data(&reader).await;
    assert!(
        data[0].contains(r#""id":7"#) && data[0].contains("5000 bytes"),
        "{data:?}"
    );
    drop(reader);
    assert!(kept(&replay).1 < 1_000);
}

#[tokio::test]
async fn what_ended_is_forgotten_in_time() {
    let limits = Limits {
        replay_for: Duration::ZERO,
        ..Limits::default()
    };
    let (replay, tasks) = (Replay::new(&limits), TaskTracker::new());
    let (outlet, queue) = Outlet::new();
    let reader = replay.open(&tasks, Purpose::Answer(None), None, queue);
    let start = reader.start;
    outlet
        .send_line(b"a".to_vec(), Some(StatusCode::OK))
        .await
        .unwrap();
    assert_eq!(data(&reader).await, ["a", "over"]);
    replay.sweep();
    drop(replay.resume(start).unwrap());
    drop(reader);
    replay.sweep();
    assert!(replay.resume(start).is_none());
    assert_eq!(kept(&replay), (0, 0));
}

#[tokio::test]
async fn who_is_sent_away_has_had_all_before() {
    let (replay, tasks) = replay(10, 1_000);
    let (outlet, queue) = Outlet::to(true);
    let reader = replay.open(&tasks, Purpose::Answer(None), None, queue);
    fill(&outlet, &["a"]).await;
    outlet.hang_up();
    fill(&outlet, &[]).await;
    assert_eq!(data(&reader).await, ["a", "over"]);
    let start = reader.start;
    drop(reader);
    fill(&outlet, &["b"]).await;
    let reader = replay.resume(start).unwrap();
    assert_eq!(data(&reader).await, ["a", "b"], "the stream goes on");
    // One that does not come back by itself is kept.
    let (outlet, queue) = Outlet::to(false);
    let reader = replay.open(&tasks, Purpose::Answer(None), None, queue);
    outlet.hang_up();
    fill(&outlet, &["c"]).await;
    assert_eq!(data(&reader).await, ["c"]);
}
