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

// TestTheDocsShowTheMatricesOfChanges holds it against those of restores, rewinds
// and drills.
func TestTheDocsShowTheMatricesOfChanges(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	once, always, all := map[ending]int{}, map[ending]int{}, 0
	for _, c := range changes() {
		cells := c.cells()
		if want := tableOf(c.calls, cells); !strings.Contains(string(text), "`"+c.name+"`") || !strings.Contains(string(text), want) {
			t.Errorf("docs/faults.md does not hold this table of %s:\n%s", c.name, want)
		}
		for _, cell := range cells {
			once[cell.once]++
			always[cell.always]++
			all++
		}
	}
	if want := countsOf(changeEndings(), once, always, all); !strings.Contains(string(text), want) {
		t.Errorf("docs/faults.md does not hold these counts:\n%s", want)
	}
}

// matrixTable is the matrix in Markdown.
func matrixTable() string { return tableOf(matrixCalls(), matrix()) }

// tableOf are cells in Markdown, a row for each call.
func tableOf(calls []string, cells []cell) string {
	var b strings.Builder
	b.WriteString("| call | " + strings.Join(matrixFaults(), " | ") + " |\n")
	b.WriteString("|---" + strings.Repeat("|---", len(matrixFaults())) + "|\n")
	for _, call := range calls {
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
	return countsOf(endings(), once, always, len(matrix()))
}

func countsOf(endings []ending, once, always map[ending]int, all int) string {
	var b strings.Builder
	b.WriteString("| ending | met once | met always | together |\n|---|---|---|---|\n")
	for _, e := range endings {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", e, once[e], always[e], once[e]+always[e])
	}
	fmt.Fprintf(&b, "| all | %d | %d | %d |\n", all, all, 2*all)
	return b.String()
}
