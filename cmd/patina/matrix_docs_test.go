package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestTheDocsShowTheMatrix holds docs/faults.md against the table of the tests,
// counts included.
func TestTheDocsShowTheMatrix(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := matrixTable(); !strings.Contains(string(text), want) {
		t.Errorf("docs/faults.md does not hold this table:\n%s", want)
	}
	if want := matrixCounts(); !strings.Contains(string(text), want) {
		t.Errorf("docs/faults.md does not hold these counts:\n%s", want)
	}
}

// matrixTable is the matrix in Markdown.
func matrixTable() string {
	var b strings.Builder
	b.WriteString("| call | " + strings.Join(matrixFaults(), " | ") + " |\n")
	b.WriteString("|---" + strings.Repeat("|---", len(matrixFaults())) + "|\n")
	cells := matrix()
	for _, call := range matrixCalls() {
		b.WriteString("| " + call)
		for range matrixFaults() {
			b.WriteString(" | " + string(cells[0].once))
			if cells[0].always != cells[0].once {
				b.WriteString(", " + string(cells[0].always))
			}
			cells = cells[1:]
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// matrixCounts are the numbers of the endings.
func matrixCounts() string {
	once, always := map[ending]int{}, map[ending]int{}
	for _, c := range matrix() {
		once[c.once]++
		always[c.always]++
	}
	var b strings.Builder
	b.WriteString("| ending | met once | met always | together |\n|---|---|---|---|\n")
	for _, e := range endings() {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", e, once[e], always[e], once[e]+always[e])
	}
	fmt.Fprintf(&b, "| all | %d | %d | %d |\n", len(matrix()), len(matrix()), 2*len(matrix()))
	return b.String()
}
