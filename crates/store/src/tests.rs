mod spools;

use std::path::PathBuf;

use jiff::Timestamp;
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;

use self::spools::spools;
use super::*;

struct Folder {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/dockmaster.db");
    Folder {
        _folder: folder,
        path,
    }
}

fn entry(tool: &str) -> Entry {
    Entry {
        time: Timestamp::from_millisecond(1_700_000_000_000).unwrap(),
        principal: "local".to_owned(),
        client: "test 1.0".to_owned(),
        server: "docker".to_owned(),
        tool: tool.to_owned(),
        arguments: json!({"container": "web", "n": 1}),
        decision: "allow".to_owned(),
        outcome: "ok".to_owned(),
        result_bytes: 42,
        milliseconds: 7,
    }
}

/// The tools of all rows.
fn tools(store: &Store) -> Vec<String> {
    let rows = store.audit().list(&Filter::default()).unwrap();
    rows.into_iter().map(|row| row.entry.tool).collect()
}

/// A store with `count` rows, closed.
async fn filled(path: &Path, count: usize) -> Store {
    let store = Store::open(path);
    for number in 1..=count {
        store
            .audit()
            .append(entry(&format!("tool-{number}")))
            .await
            .unwrap();
    }
    store.close().await;
    store
}

#[tokio::test]
async fn rows_come_back_as_they_were_written() {
    let folder = folder();
    let store = filled(&folder.path, 3).await;
    let rows = store.audit().list(&Filter::default()).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!((rows[1].seq, &rows[1].entry), (Seq(2), &entry("tool-2")));
    let report = store.audit().verify().unwrap();
    assert_eq!(
        (report.rows, report.problem, &report.head),
        (3, None, &rows[2].hash)
    );
}

#[tokio::test]
async fn an_empty_audit_is_in_order() {
    let folder = folder();
    let store = Store::open(&folder.path);
    store.ready().await.unwrap();
    assert_eq!(store.audit().verify().unwrap().problem, None);
}

#[tokio::test]
async fn filters() {
    let folder = folder();
    let store = Store::open(&folder.path);
    for (second, tool, decision) in [
        (1, "a", "allow"),
        (2, "b", "deny"),
        (3, "a", "deny"),
        (4, "c", "allow"),
    ] {
        let time = Timestamp::from_second(second).unwrap();
        let entry = Entry {
            time,
            decision: decision.to_owned(),
            ..entry(tool)
        };
        store.audit().append(entry).await.unwrap();
    }
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    let text = |text: &str| Some(text.to_owned());
    for (filter, wanted) in [
        (Filter::default(), &[1, 2, 3, 4][..]),
        (
            Filter {
                since: at(2),
                ..Filter::default()
            },
            &[2, 3, 4],
        ),
        (
            Filter {
                until: at(2),
                ..Filter::default()
            },
            &[1],
        ),
        (
            Filter {
                tool: text("a"),
                ..Filter::default()
            },
            &[1, 3],
        ),
        (
            Filter {
                tool: text("a"),
                decision: text("deny"),
                ..Filter::default()
            },
            &[3],
        ),
        (
            Filter {
                principal: text("other"),
                ..Filter::default()
            },
            &[],
        ),
        (
            Filter {
                limit: Some(2),
                ..Filter::default()
            },
            &[3, 4],
        ),
        (
            Filter {
                server: text("docker' OR 1=1 --"),
                ..Filter::default()
            },
            &[],
        ),
    ] {
        let found: Vec<i64> = store
            .audit()
            .list(&filter)
            .unwrap()
            .iter()
            .map(|row| row.seq.0)
            .collect();
        assert_eq!(found, wanted, "{filter:?}");
    }
}

#[tokio::test]
async fn the_export_is_one_json_object_a_line() {
    let folder = folder();
    let store = filled(&folder.path, 2).await;
    let mut out = Vec::new();
    assert_eq!(store.audit().export(&Filter::default(), &mut out).unwrap(), 2);
    let lines: Vec<Row> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, store.audit().list(&Filter::default()).unwrap());
}

#[tokio::test]
async fn tampering_is_found() {
    for (sql, wanted) in [
        (
            "UPDATE audit SET decision = 'deny' WHERE seq = 3",
            Problem::Changed { seq: 3 },
        ),
        (
            "UPDATE audit SET arguments = '{}' WHERE seq = 1",
            Problem::Changed { seq: 1 },
        ),
        (
            "UPDATE audit SET time_ms = time_ms + 1 WHERE seq = 5",
            Problem::Changed { seq: 5 },
        ),
        (
            "DELETE FROM audit WHERE seq = 2",
            Problem::Missing { from: 2, to: 2 },
        ),
        (
            "DELETE FROM audit WHERE seq <= 3",
            Problem::Missing { from: 1, to: 3 },
        ),
        (
            "DELETE FROM audit WHERE seq >= 4",
            Problem::Missing { from: 4, to: 5 },
        ),
        ("DELETE FROM audit", Problem::Missing { from: 1, to: 5 }),
        ("DELETE FROM audit_head", Problem::NoHead),
        ("UPDATE audit_head SET seq = 4", Problem::Added { seq: 5 }),
        (
            "UPDATE audit_head SET hash = zeroblob(32)",
            Problem::Changed { seq: 5 },
        ),
        (
            "UPDATE audit SET seq = 100 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 100",
            Problem::Changed { seq: 2 },
        ),
        (
            "INSERT INTO audit SELECT 6, time_ms, principal, client, server, tool, arguments, decision, outcome, result_bytes, milliseconds, hash FROM audit WHERE seq = 5",
            Problem::Changed { seq: 6 },
        ),
        (
            "INSERT INTO audit SELECT -1, time_ms, principal, client, server, tool, arguments, decision, outcome, result_bytes, milliseconds, hash FROM audit WHERE seq = 5",
            Problem::Added { seq: -1 },
        ),
        // A move of bytes from one column into the next, which a hash without lengths would not see.
        (
            "UPDATE audit SET principal = 'localte', client = 'st 1.0' WHERE seq = 4",
            Problem::Changed { seq: 4 },
        ),
    ] {
        let folder = folder();
        let store = filled(&folder.path, 5).await;
        Connection::open(&folder.path)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        assert_eq!(store.audit().verify().unwrap().problem, Some(wanted), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_append_to_one_file() {
    let folder = folder();
    let stores = [Store::open(&folder.path), Store::open(&folder.path)];
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let store = stores[number % 2].clone();
        tasks.spawn(async move { store.audit().append(entry(&number.to_string())).await.unwrap() });
    }
    // Whoever reads brings over what both have written, while they write.
    let reader = Store::open(&folder.path);
    while tasks.join_next().await.is_some() {
        assert_eq!(reader.audit().verify().unwrap().problem, None);
    }
    let mut numbers: Vec<u32> = tools(&reader).iter().map(|tool| tool.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    for store in stores {
        store.close().await;
    }
    assert_eq!(reader.audit().verify().unwrap().rows, 200);
    assert!(spools(&folder).is_empty());
}

/// On the test's one thread: a row must not wait for another process's transaction.
#[tokio::test]
async fn another_process_that_is_writing_holds_nobody_up() {
    let folder = folder();
    let store = Store::open(&folder.path);
    store.audit().append(entry("first")).await.unwrap();
    let other = Connection::open(&folder.path).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in 0..100 {
        store.audit().append(entry(&number.to_string())).await.unwrap();
    }
    other.execute_batch("COMMIT").unwrap();
    let report = store.audit().verify().unwrap();
    assert_eq!((report.rows, report.problem), (101, None));
}

#[tokio::test]
async fn a_row_whose_caller_was_cancelled_stands() {
    let folder = folder();
    let store = Store::open(&folder.path);
    {
        // The first row waits for the file to be opened.
        let mut append = Box::pin(store.audit().append(entry("cancelled")));
        assert!(poll_once(append.as_mut()).is_pending());
    }
    store.audit().append(entry("next")).await.unwrap();
    assert_eq!(tools(&store), ["cancelled", "next"]);
}

/// One look at a future.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn the_log_is_brought_into_the_file_from_time_to_time() {
    let folder = folder();
    let store = Store::open(&folder.path);
    store.ready().await.unwrap();
    let before = fs_err::metadata(&folder.path).unwrap().len();
    let large = Entry {
        outcome: "x".repeat(1_000),
        ..entry("long")
    };
    for _ in 0..5_000 {
        store.audit().append(large.clone()).await.unwrap();
    }
    let began = std::time::Instant::now();
    while fs_err::metadata(&folder.path).unwrap().len() == before {
        assert!(began.elapsed().as_secs() < 20);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let log = fs_err::metadata(folder.path.with_file_name("dockmaster.db-wal")).unwrap();
    assert!(log.len() < 8 << 20, "{}", log.len());
    store.close().await;
    assert!(!folder.path.with_file_name("dockmaster.db-wal").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_make_the_file_at_once_wait_for_one_another() {
    for _ in 0..20 {
        let folder = folder();
        let mut opening = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let store = Store::open(&folder.path);
            opening.spawn(async move { store.ready().await });
        }
        for opened in opening.join_all().await {
            opened.unwrap();
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named_with_what_to_do() {
    for (content, wanted) in [
        (Some(&b"this is a text and not a database, long enough to have a header of 100 bytes ............................."[..]), "move it away"),
        (None, "check the folder's owner"),
    ] {
        let folder = folder();
        let parent = folder.path.parent().unwrap();
        match content {
            Some(content) => {
                fs_err::create_dir_all(parent).unwrap();
                fs_err::write(&folder.path, content).unwrap();
            }
            // A file where the folder should be.
            None => fs_err::write(parent, "").unwrap(),
        }
        let store = Store::open(&folder.path);
        let error = store.audit().append(entry("x")).await.unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains("dockmaster.db"), "{error}");
    }
}

#[tokio::test]
async fn a_store_recovers_once_the_cause_is_gone() {
    let folder = folder();
    let parent = folder.path.parent().unwrap();
    fs_err::write(parent, "").unwrap();
    let store = Store::open(&folder.path);
    assert!(store.audit().append(entry("x")).await.is_err());
    fs_err::remove_file(parent).unwrap();
    store.audit().append(entry("x")).await.unwrap();
    assert_eq!(tools(&store).len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_others_could_read_is_closed_to_them() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = folder();
    filled(&folder.path, 1).await;
    let mode = |name: &str| {
        let file = folder.path.with_file_name(name);
        fs_err::metadata(file).unwrap().permissions().mode() & 0o777
    };
    fs_err::set_permissions(&folder.path, std::fs::Permissions::from_mode(0o664)).unwrap();
    let store = Store::open(&folder.path);
    store.audit().append(entry("x")).await.unwrap();
    assert_eq!(tools(&store).len(), 2);
    for name in ["dockmaster.db", "dockmaster.db-wal", "dockmaster.db-shm"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_went_away_while_open_is_missed_once() {
    for replaced in [false, true] {
        let folder = folder();
        let store = Store::open(&folder.path);
        store.audit().append(entry("before")).await.unwrap();
        assert_eq!(tools(&store), ["before"]);
        store.audit().append(entry("on its way")).await.unwrap();
        if replaced {
            let other = folder.path.with_file_name("other.db");
            filled(&other, 3).await;
            fs_err::rename(other, &folder.path).unwrap();
            for side in ["dockmaster.db-wal", "dockmaster.db-shm"] {
                fs_err::remove_file(folder.path.with_file_name(side)).unwrap();
            }
        } else {
            fs_err::remove_dir_all(folder.path.parent().unwrap()).unwrap();
        }
        tokio::time::sleep(crate::writer::SEEN).await;
        let error = store.audit().append(entry("lost")).await.unwrap_err();
        assert!(matches!(error, Error::Gone { .. }), "{error}");
        store.audit().append(entry("after")).await.unwrap();
        // What the spool still has comes into the new file.
        let rows: &[&str] = if replaced {
            &["tool-1", "tool-2", "tool-3", "before", "on its way", "after"]
        } else {
            &["after"]
        };
        assert_eq!(tools(&store), rows);
        assert_eq!(store.audit().verify().unwrap().problem, None);
    }
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let folder = folder();
    filled(&folder.path, 1).await;
    Connection::open(&folder.path)
        .unwrap()
        .pragma_update(None, "user_version", 7)
        .unwrap();
    let store = Store::open(&folder.path);
    assert!(matches!(
        store.ready().await.unwrap_err(),
        Error::Newer {
            found: 7,
            known: 4,
            ..
        }
    ));
    assert!(matches!(store.audit().verify().unwrap_err(), Error::Newer { .. }));
}

#[tokio::test]
async fn after_closing_nothing_is_written() {
    let folder = folder();
    let store = filled(&folder.path, 1).await;
    assert!(matches!(
        store.audit().append(entry("late")).await,
        Err(Error::Closed)
    ));
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let store = Store::open(&folder.path);
    store.audit().append(entry("x")).await.unwrap();
    let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.path.parent().unwrap()), 0o700);
    assert_eq!(mode(&spool::folder(&folder.path)), 0o700);
    assert_eq!(mode(&spools(&folder)[0]), 0o600);
    for name in ["dockmaster.db", "dockmaster.db-wal", "dockmaster.db-shm"] {
        assert_eq!(mode(&folder.path.with_file_name(name)), 0o600, "{name}");
    }
}

proptest! {
    #[test]
    fn no_two_different_rows_have_one_hash(a in proptest::array::uniform4("[ab]{0,3}"), b in proptest::array::uniform4("[ab]{0,3}")) {
        let row = |texts: &[String; 4]| Entry {
            principal: texts[0].clone(),
            client: texts[1].clone(),
            server: texts[2].clone(),
            decision: texts[3].clone(),
            ..entry("t")
        };
        let hash = |texts| chain::next(&[0; 32], 1, &row(texts).columns());
        prop_assert_eq!(hash(&a) == hash(&b), a == b);
    }
}

#[tokio::test]
async fn documents_come_back_as_they_were_written() {
    let folder = folder();
    let store = Store::open(&folder.path);
    store.ready().await.unwrap();
    let documents = store.documents();
    assert_eq!(documents.get("catalog", "own").unwrap(), None);
    for (kind, name, text) in [
        ("catalog", "own", "a: 1\0"),
        ("catalog", "Ä/b", "{}"),
        ("entry", "own", "other"),
        ("catalog", "own", "a: 2"),
    ] {
        documents.put(kind, name, text).unwrap();
    }
    let listed: Vec<_> = documents.list("catalog").unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|found| (found.name.as_str(), found.text.as_str()))
        .collect();
    assert_eq!(listed, [("own", "a: 2"), ("Ä/b", "{}")]);
    assert_eq!(documents.get("entry", "own").unwrap().unwrap().text, "other");
    assert!(documents.remove("entry", "own").unwrap());
    assert!(!documents.remove("entry", "own").unwrap());
    // They are no part of the audit.
    store.audit().append(entry("x")).await.unwrap();
    assert_eq!(tools(&store).len(), 1);
    assert_eq!(store.audit().verify().unwrap().problem, None);
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up() {
    let folder = folder();
    filled(&folder.path, 2).await;
    let connection = Connection::open(&folder.path).unwrap();
    connection
        .execute_batch(
            "DROP TABLE documents; DROP TABLE lists; DROP TABLE approved_servers; DROP TABLE approved_tools; DROP TABLE audit_spools;
             PRAGMA user_version = 1; PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .unwrap();
    drop(connection);
    let store = Store::open(&folder.path);
    assert_eq!(store.documents().list("catalog").unwrap(), []);
    store.documents().put("catalog", "own", "text").unwrap();
    assert_eq!(store.documents().list("catalog").unwrap().len(), 1);
    store.audit().append(entry("x")).await.unwrap();
    assert_eq!(tools(&store).len(), 3);
    assert_eq!(store.audit().verify().unwrap().problem, None);
}

#[tokio::test]
async fn rows_of_another_audit_are_joined_each_once() {
    let (here, there) = (folder(), folder());
    let far = filled(&there.path, 5).await;
    let near = filled(&here.path, 1).await;
    let first = far.audit().behind(Seq(0), 3).unwrap();
    let last = near.audit().join("far", &first).unwrap();
    assert_eq!((first.len(), last), (3, Seq(3)));
    // A fetch whose answer was lost is made again, and overlaps.
    let again = far.audit().behind(Seq(1), 10).unwrap();
    assert_eq!(near.audit().join("far", &again).unwrap(), Seq(5));
    assert_eq!(near.audit().join("far", &again).unwrap(), Seq(5));
    assert_eq!(near.audit().join("far", &[]).unwrap(), Seq(5));
    let joined: Vec<_> = std::iter::once(1)
        .chain(1..=5)
        .map(|n| format!("tool-{n}"))
        .collect();
    assert_eq!(tools(&near), joined);
    // Another source counts for itself, and the chain holds them all.
    assert_eq!(near.audit().join("other", &first).unwrap(), Seq(3));
    let report = near.audit().verify().unwrap();
    assert_eq!((report.rows, report.problem), (9, None));
}
