// What `raddle-bench threads`, `echo` and `http` measure of Go: goroutines, with GOMAXPROCS as the case has cores.
//
// It is started as PROGRAM CASE key=value... and prints one line of JSON, like the programs in src/bin; what each case does is
// said there, in src/blocking.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type arguments struct {
	name   string
	values map[string]string
}

type said struct {
	Figures map[string][]float64 `json:"figures"`
	Remark  string               `json:"remark,omitempty"`
}

var cases = map[string]func(arguments) said{
	"echo":             echo,
	"http":             web,
	"spawn_join":       spawnJoin,
	"spawn_many":       spawnMany,
	"yield":            yields,
	"channel":          channel,
	"mutex_contended":  mutexContended,
	"sleeping":         sleeping,
	"timers":           timers,
	"idle":             idle,
	"hog_lateness":     hogLateness,
	"blocked_recovery": blockedRecovery,
	"share_spread":     shareSpread,
	"preempt_cost":     preemptCost,
}

func main() {
	if len(os.Args) < 2 {
		fail("which case? This program is run by `raddle-bench threads`")
	}
	asked := arguments{os.Args[1], map[string]string{}}
	for _, word := range os.Args[2:] {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			fail(word + ": no key=value")
		}
		asked.values[key] = value
	}
	run := cases[asked.name]
	if run == nil {
		fail("Go has no case " + asked.name)
	}
	// Whoever started this program kills it when its time is over, unless it was killed itself.
	syscall.Syscall(syscall.SYS_ALARM, uintptr(asked.number("limit")), 0, 0)
	runtime.GOMAXPROCS(asked.number("cores"))
	say(run(asked))
}

func (asked arguments) number(key string) int {
	number, err := strconv.Atoi(asked.values[key])
	if err != nil {
		fail(fmt.Sprintf("%s: %s=NUMBER is missing", asked.name, key))
	}
	return number
}

func (asked arguments) ms(key string) time.Duration {
	return time.Duration(asked.number(key)) * time.Millisecond
}

func figure(name string, value float64) said {
	return said{Figures: map[string][]float64{name: {value}}}
}

func say(what said) {
	line, err := json.Marshal(what)
	if err != nil {
		fail(err.Error())
	}
	fmt.Println(string(line))
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}

// Nanoseconds for each operation; see src/work.rs.
func nsEach(aim time.Duration, run func(operations int) time.Duration) float64 {
	wasLong := false
	for operations := 1; ; {
		took := run(operations)
		if took < aim/2 {
			wasLong = false
			operations *= 2
		} else if wasLong {
			return took.Seconds() * 1e9 / float64(operations)
		} else {
			wasLong = true
		}
	}
}

var spun uint64

// Computes for one or two nanoseconds each turn; see src/work.rs.
//
//go:noinline
func spin(turns int) {
	state := uint64(1)
	for turn := 0; turn < turns; turn++ {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
	}
	if state == 0 {
		spun = state
	}
}

// How many turns take that long when nothing disturbs them.
func turnsFor(aim time.Duration) int {
	const turns = 100_000
	best := time.Hour
	for i := 0; i < 20; i++ {
		start := time.Now()
		spin(turns)
		if took := time.Since(start); took < best {
			best = took
		}
	}
	return int(turns * aim.Seconds() / best.Seconds())
}
