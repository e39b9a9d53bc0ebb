use super::*;

fn part(kind: PartKind, parent: Option<u32>) -> AbiPart {
    AbiPart {
        kind,
        parent,
        text: String::new(),
        columns: Vec::new(),
    }
}

#[test]
fn parts_are_a_tree_in_preorder_below_bodies() {
    use PartKind::{Base, Both, Detect, Present};
    let good = vec![
        part(Detect, None),
        part(Both, Some(0)),
        part(Present, Some(1)),
        part(Base, Some(2)),
        part(Present, Some(1)),
    ];
    assert_eq!(check_parts(good, 0).map(|parts| parts.len()), Ok(5));
    let refused = [
        vec![],
        vec![part(Both, None)],
        vec![part(Detect, None), part(Detect, Some(0))],
        vec![part(Detect, None), part(Both, Some(1))],
        vec![part(Detect, None), part(Both, Some(7))],
        // Part 1 is closed when its parent goes on.
        vec![
            part(Detect, None),
            part(Present, Some(0)),
            part(Present, Some(0)),
            part(Base, Some(1)),
        ],
        vec![part(Detect, None), part(Detect, None), part(Both, Some(0))],
    ];
    for parts in refused {
        assert!(check_parts(parts, 0).is_err());
    }
    let with_column = |column| {
        vec![AbiPart {
            columns: vec![column],
            ..part(Detect, None)
        }]
    };
    assert!(check_parts(with_column(1), 2).is_ok());
    assert!(check_parts(with_column(2), 2).is_err());
    let many = (0..=PARTS).map(|_| part(Detect, None)).collect();
    assert!(check_parts(many, 0).is_err());
}
