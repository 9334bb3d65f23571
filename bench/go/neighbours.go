// What goroutines that compute or block do to others.
package main

import (
	"fmt"
	"math"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const nap = time.Millisecond

func hogLateness(asked arguments) said {
	slept := asked.values["hogs"] == "slept"
	return napper(asked.ms("ms"), func() {
		for i := 0; i < asked.number("n"); i++ {
			go func() {
				if slept {
					time.Sleep(nap)
				}
				for {
					spin(1000)
				}
			}()
		}
	})
}

func blockedRecovery(asked arguments) said {
	return napper(asked.ms("ms"), func() {
		for i := 0; i < asked.number("n"); i++ {
			var ends [2]int
			if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
				fail(err.Error())
			}
			go func() {
				var buffer [1]byte
				for {
					syscall.Read(ends[0], buffer[:])
				}
			}()
		}
	})
}

// The goroutine that naps, in microseconds. Go preempts, so it comes back; if not, the driver's patience ends.
func napper(length time.Duration, neighbours func()) said {
	for i := 0; i < 20; i++ {
		time.Sleep(nap)
	}
	neighbours()
	late := make([]float64, 0, length/nap+2)
	for start := time.Now(); time.Since(start) < length; {
		begin := time.Now()
		time.Sleep(nap)
		late = append(late, (time.Since(begin)-nap).Seconds()*1e6)
	}
	sort.Float64s(late)
	longest := late[len(late)-1]
	return said{Figures: map[string][]float64{
		"p50":        {quantile(late, 0.5)},
		"p99":        {quantile(late, 0.99)},
		"max":        {longest},
		"longest_ms": {(longest + nap.Seconds()*1e6) / 1e3},
	}}
}

func quantile(sorted []float64, share float64) float64 {
	rank := int(math.Ceil(float64(len(sorted)) * share))
	if rank < 1 {
		rank = 1
	}
	return sorted[rank-1]
}

// Work done, on cache lines of its own.
type done struct {
	count uint64
	_     [120]byte
}

func shareSpread(asked arguments) said {
	loops := asked.number("n")
	all := make([]done, loops)
	begin := time.Now().Add(200 * time.Millisecond)
	for number := 0; number < loops; number++ {
		own := &all[number]
		go func() {
			time.Sleep(time.Until(begin))
			for count := uint64(1); ; count++ {
				spin(1000)
				atomic.StoreUint64(&own.count, count)
			}
		}()
	}
	read := func() []uint64 {
		counts := make([]uint64, loops)
		for number := range all {
			counts[number] = atomic.LoadUint64(&all[number].count)
		}
		return counts
	}
	time.Sleep(time.Until(begin) + asked.ms("lead_ms"))
	before := read()
	time.Sleep(asked.ms("ms"))
	after := read()
	sum, starved := 0.0, 0
	for number := range after {
		after[number] -= before[number]
		sum += float64(after[number])
		if after[number] == 0 {
			starved++
		}
	}
	if starved > 0 {
		return said{
			Figures: map[string][]float64{},
			Remark:  fmt.Sprintf("starves: %d of %d loops get nothing", starved, loops),
		}
	}
	most := 0.0
	for _, count := range after {
		most = math.Max(most, math.Abs(float64(count)*float64(loops)/sum-1))
	}
	return figure("pct", most*100)
}

func preemptCost(asked arguments) said {
	const chunk = 2 * time.Microsecond
	turns := turnsFor(chunk)
	chunks := int(asked.ms("ms") / chunk)
	figures := map[string][]float64{}
	note := func(name string, value float64) { figures[name] = append(figures[name], value) }
	compute(1, chunks, turns)
	for pair := 0; pair < asked.number("pairs"); pair++ {
		var alone, together computed
		if pair%2 == 0 {
			alone = compute(1, chunks, turns)
			together = compute(2, chunks, turns)
		} else {
			together = compute(2, chunks, turns)
			alone = compute(1, chunks, turns)
		}
		note("pct", (together.wall/alone.wall-1)*100)
		note("cpu_pct", (together.cpu/alone.cpu-1)*100)
		note("switches", float64(together.switches))
		if together.switches > 2 {
			note("ns", (together.wall-alone.wall)*1e9/float64(together.switches))
		}
	}
	return said{Figures: figures}
}

type computed struct {
	wall, cpu float64
	switches  int64
}

func compute(threads, chunks, turns int) computed {
	var last, switches int64
	var all sync.WaitGroup
	all.Add(threads)
	start, cpu := time.Now(), cpuSeconds()
	for me := int64(1); me <= int64(threads); me++ {
		me := me
		go func() {
			for i := 0; i < chunks/threads; i++ {
				spin(turns)
				if atomic.LoadInt64(&last) != me {
					atomic.StoreInt64(&last, me)
					atomic.AddInt64(&switches, 1)
				}
			}
			all.Done()
		}()
	}
	all.Wait()
	return computed{time.Since(start).Seconds(), cpuSeconds() - cpu, switches}
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err.Error())
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
