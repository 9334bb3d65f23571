//! Every interleaving of two threads on one list, by loom: nothing is lost, nothing is handed out twice.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p raddle-core --test lifo_loom`.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use raddle_core::lifo::{Lifo, Link, Links};

struct Table(Vec<Link>);
impl Links for Table {
    fn link(&self, index: u32) -> &Link {
        &self.0[index as usize]
    }
}

fn drained(list: &Lifo, table: &Table) -> Vec<u32> {
    let mut all: Vec<u32> = std::iter::from_fn(|| list.pop(table)).collect();
    all.sort();
    all
}

/// The ABA case: one thread pops two and pushes the first back while the other is in the middle of a pop.
#[test]
fn a_member_that_came_back_is_not_mistaken_for_one_that_stayed() {
    loom::model(|| {
        let table = Arc::new(Table((0..3).map(|_| Link::new()).collect()));
        let list = Arc::new(Lifo::new());
        list.push_chain(&*table, &[0, 1, 2]);
        let other = {
            let (table, list) = (table.clone(), list.clone());
            thread::spawn(move || {
                let a = list.pop(&*table);
                let b = list.pop(&*table);
                if let Some(a) = a {
                    list.push(&*table, a);
                }
                b
            })
        };
        let mine = list.pop(&*table);
        let theirs = other.join().unwrap();
        let mut all = drained(&list, &table);
        all.extend(mine);
        all.extend(theirs);
        all.sort();
        assert_eq!(all, [0, 1, 2]);
    });
}

#[test]
fn chains_and_pops_lose_nothing() {
    loom::model(|| {
        let table = Arc::new(Table((0..4).map(|_| Link::new()).collect()));
        let list = Arc::new(Lifo::new());
        list.push(&*table, 0);
        let other = {
            let (table, list) = (table.clone(), list.clone());
            thread::spawn(move || list.push_chain(&*table, &[2, 3]))
        };
        list.push(&*table, 1);
        let mine = list.pop(&*table);
        other.join().unwrap();
        let mut all = drained(&list, &table);
        all.extend(mine);
        all.sort();
        assert_eq!(all, [0, 1, 2, 3]);
    });
}
