package cyborgkms_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// declared are the names that a header declares.
type declared struct{ functions, constants, fields []string }

func parseHeader(header string) declared {
	header = regexp.MustCompile(`(?m)//.*$|(?s)/\*.*?\*/`).ReplaceAllString(header, "")
	var d declared
	for _, found := range regexp.MustCompile(`(?m)^[a-z][\w \*]*?\b(cyborg_kms_\w+)\(`).FindAllStringSubmatch(header, -1) {
		d.functions = append(d.functions, found[1])
	}
	for _, found := range regexp.MustCompile(`(?m)^#define (CYBORG_KMS_\w+) .`).FindAllStringSubmatch(header, -1) {
		d.constants = append(d.constants, found[1])
	}
	for _, body := range regexp.MustCompile(`(?s)typedef struct \{(.*?)\}`).FindAllStringSubmatch(header, -1) {
		for _, line := range strings.Split(body[1], ";") {
			found := regexp.MustCompile(`\(\*(\w+)\)|(\w+)\s*$`).FindStringSubmatch(line)
			if found != nil {
				d.fields = append(d.fields, found[1]+found[2])
			}
		}
	}
	return d
}

// used are the names of C that the binding uses: `C.name` in Go, every word in its C.
type used struct {
	words map[string]bool
	// constants that an exported constant stands for.
	exported map[string]bool
}

func parseBinding(t *testing.T) used {
	u := used{map[string]bool{}, map[string]bool{}}
	for _, file := range must(filepath.Glob("*.go"))(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		ast.Inspect(must(parser.ParseFile(token.NewFileSet(), file, nil, 0))(t), func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok {
				u.words[selector.Sel.Name] = true
			}
			if spec, ok := node.(*ast.ValueSpec); ok && len(spec.Values) == 1 && spec.Names[0].IsExported() {
				if selector, ok := spec.Values[0].(*ast.SelectorExpr); ok {
					u.exported[selector.Sel.Name] = true
				}
			}
			return true
		})
	}
	for _, word := range regexp.MustCompile(`\w+`).FindAllString(string(must(os.ReadFile("shim.c"))(t)), -1) {
		u.words[word] = true
	}
	return u
}

func (u used) lacks(d declared) []string {
	var missing []string
	for _, function := range d.functions {
		if !u.words[function] {
			missing = append(missing, "function "+function)
		}
	}
	for _, constant := range d.constants {
		if !u.exported[constant] {
			missing = append(missing, "constant "+constant)
		}
	}
	for _, field := range d.fields {
		if !u.words[field] {
			missing = append(missing, "field "+field)
		}
	}
	return missing
}

func TestTheBindingHasAllOfTheHeader(t *testing.T) {
	header := string(must(os.ReadFile(filepath.Join(source(t), "include/cyborg_kms.h")))(t))
	exports := strings.Fields(string(must(os.ReadFile(filepath.Join(source(t), "tests/c/exports.txt")))(t)))
	d, u := parseHeader(header), parseBinding(t)
	slices.Sort(d.functions)
	if slices.Sort(exports); !slices.Equal(d.functions, exports) {
		t.Fatalf("read from the header:\n%v\nexported:\n%v", d.functions, exports)
	}
	if len(d.constants) < 40 || len(d.fields) < 30 {
		t.Fatalf("only %d constants and %d fields were read from the header", len(d.constants), len(d.fields))
	}
	for _, missing := range u.lacks(d) {
		t.Errorf("the header has a %s that the binding lacks: bind it", missing)
	}
	more := parseHeader(header + "\n#define CYBORG_KMS_NEW 99\ntypedef struct {\n size_t new_field;\n} n;\n" +
		"cyborg_kms_status cyborg_kms_new(cyborg_kms_engine *engine,\n    cyborg_kms_error **error);\nvoid *cyborg_kms_newer(void);\n")
	want := []string{"function cyborg_kms_new", "function cyborg_kms_newer", "constant CYBORG_KMS_NEW", "field new_field"}
	if missing := u.lacks(more); !slices.Equal(missing, want) {
		t.Fatalf("of a header with more the check misses some: %v", missing)
	}
}
