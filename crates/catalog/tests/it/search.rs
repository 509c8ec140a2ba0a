use catalog::search::Index;

fn found(query: &str) -> Vec<&'static str> {
    let entries = &catalog::ours::catalog().entries;
    let index = Index::new(entries);
    index
        .find(query, 20)
        .into_iter()
        .map(|hit| entries[hit.place].name.as_str())
        .collect()
}

#[test]
fn finds_by_every_field() {
    for (query, expected) in [
        ("memory", "memory"),
        ("MEMORY", "memory"),
        ("github-official", "github-official"),
        ("helm", "kubernetes"),
        ("papers", "arxiv-mcp-server"),
        ("paper", "arxiv-mcp-server"),
        ("read_query", "sqlite-mcp-server"),
        ("search web without key", "duckduckgo"),
        ("python notebook", "mcp-code-interpreter"),
        ("kuber", "kubernetes"),
        ("pdf to markd", "markdownify"),
    ] {
        assert_eq!(
            found(query).first(),
            Some(&expected),
            "{query}: {:?}",
            found(query)
        );
    }
}

#[test]
fn nothing_and_everything() {
    assert_eq!(found("zebra quagga"), [""; 0]);
    assert_eq!(found("").len(), catalog::ours::catalog().entries.len());
    assert_eq!(found(" ,;! ").len(), catalog::ours::catalog().entries.len());
    assert!(Index::new([]).find("x", 5).is_empty());
}
