use std::path::PathBuf;

use jiff::Timestamp;
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;

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

/// The files of rows on their way.
fn spools(folder: &Folder) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(spool::folder(&folder.path)) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
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

/// A process that is killed leaves its rows in its spool.
#[tokio::test]
async fn what_a_killed_process_left_is_brought_over() {
    let folder = folder();
    let killed = Store::open(&folder.path);
    for number in 0..3 {
        killed.audit().append(entry(&number.to_string())).await.unwrap();
    }
    let left = spools(&folder);
    assert_eq!(left.len(), 1);
    drop(killed);
    // Half a row, which nobody was told of.
    let mut file = fs_err::OpenOptions::new().append(true).open(&left[0]).unwrap();
    std::io::Write::write_all(&mut file, b"4 00aa").unwrap();
    drop(file);
    let next = Store::open(&folder.path);
    next.ready().await.unwrap();
    assert!(spools(&folder).is_empty());
    next.audit().append(entry("3")).await.unwrap();
    assert_eq!(tools(&next), ["0", "1", "2", "3"]);
    assert_eq!(next.audit().verify().unwrap().problem, None);
}

#[tokio::test]
async fn rows_come_over_by_themselves_and_once() {
    let folder = folder();
    let store = Store::open(&folder.path);
    store.audit().append(entry("first")).await.unwrap();
    for number in 0..5 {
        store.audit().append(entry(&number.to_string())).await.unwrap();
        // Someone reads in between.
        assert_eq!(tools(&store).len(), number + 2);
    }
    store.audit().append(entry("last")).await.unwrap();
    let connection = Connection::open(&folder.path).unwrap();
    let count = || {
        connection
            .query_row("SELECT count(*) FROM audit", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let began = std::time::Instant::now();
    while count() < 7 {
        assert!(began.elapsed().as_secs() < 20, "{}", count());
        tokio::task::yield_now().await;
    }
    assert_eq!(tools(&store), ["first", "0", "1", "2", "3", "4", "last"]);
}

/// A spool that has grown is emptied, and its rows come over once all the same.
#[tokio::test]
async fn spools_do_not_grow_for_ever() {
    let folder = folder();
    let store = Store::open(&folder.path);
    let long = Entry {
        outcome: "x".repeat(1_000),
        ..entry("long")
    };
    let mut largest = 0;
    for batch in 1..=20 {
        for _ in 0..100 {
            store.audit().append(long.clone()).await.unwrap();
        }
        let spool = &spools(&folder)[0];
        largest = largest.max(fs_err::metadata(spool).unwrap().len());
        let began = std::time::Instant::now();
        let brought_over = || {
            Connection::open(&folder.path)
                .unwrap()
                .query_row("SELECT last FROM audit_spools", [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        while brought_over() < batch * 100 {
            assert!(began.elapsed().as_secs() < 20);
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    assert!(largest < 1 << 20, "{largest}");
    assert_eq!(store.audit().verify().unwrap().rows, 2_000);
    assert_eq!(store.audit().verify().unwrap().problem, None);
}

#[tokio::test]
async fn tampering_with_rows_on_their_way_is_found() {
    type Change = fn(&str) -> String;
    let changes: [(Change, i64, &str); 5] = [
        (|text| text.replace("tool-2", "tool-9"), 2, "changed"),
        (
            |text| {
                text.split_inclusive('\n')
                    .filter(|line| !line.contains("tool-2"))
                    .collect()
            },
            2,
            "missing",
        ),
        (|text| format!("{text}4 {} []\n", "0".repeat(64)), 4, "changed"),
        (|text| format!("{text}something else\n"), 4, "no row"),
        (|text| format!("\0\0{text}"), 1, "no row"),
    ];
    for (change, row, why) in changes {
        let folder = folder();
        let store = Store::open(&folder.path);
        // The first goes over at once.
        store.audit().append(entry("first")).await.unwrap();
        store.close().await;
        let store = Store::open(&folder.path);
        store.ready().await.unwrap();
        let mut spool = spool::Spool::create(&folder.path).unwrap();
        for number in 1..=3 {
            spool
                .append(&entry(&format!("tool-{number}")).columns().array())
                .unwrap();
        }
        let path = spool.path().to_owned();
        drop(spool);
        let text = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, change(&text)).unwrap();
        let report = store.audit().verify().unwrap();
        let Some(Problem::Spool(damage)) = report.problem else {
            panic!("{report:?}");
        };
        assert_eq!((damage.row, &damage.path), (row, &path), "{damage}");
        assert!(damage.why.contains(why), "{damage}");
        // What comes before stands, and the file stays for whoever looks into it.
        assert_eq!(i64::try_from(report.rows).unwrap(), row);
        assert!(path.exists());
        // Once it is away, all is well.
        fs_err::remove_file(&path).unwrap();
        assert_eq!(store.audit().verify().unwrap().problem, None);
    }
}

/// The same rows under another name are others.
#[tokio::test]
async fn a_copy_of_a_spool_is_none() {
    let folder = folder();
    let store = Store::open(&folder.path);
    store.ready().await.unwrap();
    let mut spool = spool::Spool::create(&folder.path).unwrap();
    spool.append(&entry("one").columns().array()).unwrap();
    fs_err::copy(spool.path(), spool.path().with_file_name("copy")).unwrap();
    assert!(matches!(
        store.audit().verify().unwrap().problem,
        Some(Problem::Spool(_))
    ));
    assert_eq!(tools(&store), ["one"]);
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

proptest! {
    /// Whatever stands in a spool: what is read of it is a beginning of what was written.
    #[test]
    fn a_spool_is_read_up_to_where_it_is_whole(
        texts in proptest::collection::vec(".{0,8}", 0..6),
        cut in any::<proptest::sample::Index>(),
        change in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
    ) {
        let folder = folder();
        let mut spool = spool::Spool::create(&folder.path).unwrap();
        let entries: Vec<_> = texts.iter().map(|text| entry(text)).collect();
        for entry in &entries {
            spool.append(&entry.columns().array()).unwrap();
        }
        let whole = fs_err::read(spool.path()).unwrap();
        let mut content = whole[..cut.index(whole.len() + 1)].to_vec();
        if let Some((place, byte)) = change
            && !content.is_empty()
        {
            let place = place.index(content.len());
            content[place] = byte;
        }
        let found = spool::read(spool.name(), &content, spool::Mark::default());
        prop_assert!(found.rows.len() <= entries.len());
        for (row, entry) in found.rows.iter().zip(&entries) {
            prop_assert_eq!(row, &entry.columns());
        }
        if content == whole {
            prop_assert_eq!(found.rows.len(), entries.len());
            prop_assert_eq!((found.damage, found.last), (None, spool.last()));
        }
    }

    #[test]
    fn reading_a_spool_never_panics(content in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(spool::read("name", &content, spool::Mark::default()).rows.is_empty());
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
