package plan

// parentsFirst orders tables so that one to which foreign keys point comes
// before those that have them, as far as there is such an order: within a cycle
// the dump's order is kept, and the deferral of foreign keys does the rest.
func parentsFirst(tables []*table, byName map[string]*table) []*table {
	var order []*table
	seen := map[*table]bool{}
	// A stack of its own: a chain of foreign keys may be as long as the schema.
	type visit struct {
		t    *table
		next int // of its parents
	}
	for _, root := range tables {
		if seen[root] {
			continue
		}
		seen[root] = true
		stack := []visit{{t: root}}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.next == len(top.t.parents) {
				order = append(order, top.t)
				stack = stack[:len(stack)-1]
				continue
			}
			parent := byName[top.t.parents[top.next]]
			top.next++
			if parent != nil && !seen[parent] {
				seen[parent] = true
				stack = append(stack, visit{t: parent})
			}
		}
	}
	return order
}
