//! Rows on their way: left behind, brought over once, changed by somebody, cut off.

use super::*;

/// The files of rows on their way.
pub(super) fn spools(folder: &Folder) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(spool::folder(&folder.path)) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
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
    let mut file = fs_err::OpenOptions::new().append(true).open(&left[0]).unwrap();
    // Here nobody was killed, and its lock goes when its thread has ended.
    let began = std::time::Instant::now();
    while file.file().try_lock().is_err() {
        assert!(began.elapsed().as_secs() < 20, "the spool stays locked");
        tokio::task::yield_now().await;
    }
    // Half a row, which nobody was told of.
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
