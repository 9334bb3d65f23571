// Many goroutines that sleep: what they take, how punctually they wake, and that they cost nothing meanwhile.
package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Resident pages and page tables, and the number of mappings.
func memory() (int, int) {
	debug.FreeOSMemory()
	kib := func(path, key string) int {
		text, err := os.ReadFile(path)
		if err != nil {
			fail(err.Error())
		}
		for _, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(line, key) {
				number, _ := strconv.Atoi(strings.Fields(line)[1])
				return number
			}
		}
		fail("this kernel does not say " + key)
		return 0
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		fail(err.Error())
	}
	resident := kib("/proc/self/smaps_rollup", "Rss:") + kib("/proc/self/status", "VmPTE:")
	return resident * 1024, bytes.Count(maps, []byte("\n"))
}

func sleeping(asked arguments) said {
	threads := asked.number("n")
	for i := 0; i < 64; i++ {
		go func() {}()
	}
	bytesBefore, mappingsBefore := memory()
	start := time.Now()
	var asleep int64
	for i := 0; i < threads; i++ {
		go func() {
			atomic.AddInt64(&asleep, 1)
			time.Sleep(time.Hour)
		}()
	}
	wait(&asleep, threads)
	took := time.Since(start)
	time.Sleep(300 * time.Millisecond)
	bytesAfter, mappingsAfter := memory()
	return said{Figures: map[string][]float64{
		"bytes":    {float64(bytesAfter-bytesBefore) / float64(threads)},
		"mappings": {float64(mappingsAfter - mappingsBefore)},
		"spawn_s":  {took.Seconds()},
	}}
}

func idle(asked arguments) said {
	threads := asked.number("n")
	var asleep int64
	never := make(chan struct{})
	for i := 0; i < threads; i++ {
		go func() {
			atomic.AddInt64(&asleep, 1)
			<-never
		}()
	}
	wait(&asleep, threads)
	say(figure("ready", 1))
	// The driver holds the other end and writes nothing.
	os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
	return said{}
}

func wait(asleep *int64, wanted int) {
	for atomic.LoadInt64(asleep) < int64(wanted) {
		time.Sleep(time.Millisecond)
	}
}

func timers(asked arguments) said {
	count := asked.number("n")
	begin := time.Now().Add(asked.ms("lead_ms"))
	random := rand.New(rand.NewSource(1))
	late := make([]float64, count)
	var asleep, ended int64
	for i := 0; i < count; i++ {
		number, until := i, begin.Add(time.Duration(random.Int63n(1_000_000_000)))
		go func() {
			atomic.AddInt64(&asleep, 1)
			time.Sleep(time.Until(until))
			late[number] = time.Since(until).Seconds() * 1e6
			atomic.AddInt64(&ended, 1)
		}()
	}
	time.Sleep(time.Until(begin))
	if slept := atomic.LoadInt64(&asleep); slept < int64(count) {
		return said{
			Figures: map[string][]float64{},
			Remark:  fmt.Sprintf("only %d of %d slept when the second began", slept, count),
		}
	}
	cpu := cpuSeconds()
	time.Sleep(time.Second)
	wait(&ended, count)
	cpu = cpuSeconds() - cpu
	sort.Float64s(late)
	sum := 0.0
	for _, one := range late {
		sum += one
	}
	return said{Figures: map[string][]float64{
		"mean":  {sum / float64(count)},
		"p99":   {quantile(late, 0.99)},
		"cpu_s": {cpu},
	}}
}
