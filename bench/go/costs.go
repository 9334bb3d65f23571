// What the everyday operations cost: making goroutines, yielding, messages, a mutex.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func spawnJoin(asked arguments) said {
	return figure("ns", nsEach(asked.ms("ms"), func(operations int) time.Duration {
		done := make(chan struct{})
		start := time.Now()
		for i := 0; i < operations; i++ {
			go func() { done <- struct{}{} }()
			<-done
		}
		return time.Since(start)
	}))
}

func spawnMany(asked arguments) said {
	threads := asked.number("n")
	once := func() float64 {
		if asked.values["each"] == "joinable" {
			return spawnJoinable(threads)
		}
		var all sync.WaitGroup
		start := time.Now()
		all.Add(threads)
		for i := 0; i < threads; i++ {
			go all.Done()
		}
		all.Wait()
		return time.Since(start).Seconds() * 1e9 / float64(threads)
	}
	cold := once()
	return said{Figures: map[string][]float64{"cold": {cold}, "warm": {once()}}}
}

// Each goroutine can be waited for by itself, and leaves a result: what handles of threads give.
func spawnJoinable(threads int) float64 {
	handles := make([]chan struct{}, 0, threads)
	start := time.Now()
	for i := 0; i < threads; i++ {
		done := make(chan struct{}, 1)
		go func() { done <- struct{}{} }()
		handles = append(handles, done)
	}
	for _, done := range handles {
		<-done
	}
	return time.Since(start).Seconds() * 1e9 / float64(threads)
}

func yields(asked arguments) said {
	threads := asked.number("n")
	return figure("ns", nsEach(asked.ms("ms"), func(operations int) time.Duration {
		return race(threads, func() {
			for i := 0; i < operations; i++ {
				runtime.Gosched()
			}
		})
	})/float64(threads))
}

func mutexContended(asked arguments) said {
	threads := asked.number("n")
	return figure("ns", nsEach(asked.ms("ms"), func(operations int) time.Duration {
		var mutex sync.Mutex
		sum := 0
		took := race(threads, func() {
			for i := 0; i < operations; i++ {
				mutex.Lock()
				sum++
				mutex.Unlock()
			}
		})
		if sum != threads*operations {
			fail("the mutex does not exclude")
		}
		return took
	})/float64(threads))
}

// Runs work in so many goroutines at the same time, and says from when to when.
func race(threads int, work func()) time.Duration {
	var isOpen, running int64
	var all sync.WaitGroup
	var start, end time.Time
	running = int64(threads)
	all.Add(threads)
	for i := 0; i < threads; i++ {
		go func() {
			for atomic.LoadInt64(&isOpen) == 0 {
				runtime.Gosched()
			}
			work()
			if atomic.AddInt64(&running, -1) == 0 {
				end = time.Now()
			}
			all.Done()
		}()
	}
	start = time.Now()
	atomic.StoreInt64(&isOpen, 1)
	all.Wait()
	return end.Sub(start)
}

// A number goes there and back; an operation is one way. Channels without a buffer are how Go converses.
func channel(asked arguments) said {
	return figure("ns", nsEach(asked.ms("ms"), func(operations int) time.Duration {
		there, back := make(chan uint64), make(chan uint64)
		go func() {
			for i := 0; i < operations; i++ {
				back <- <-there
			}
		}()
		start := time.Now()
		for i := 0; i < operations; i++ {
			there <- uint64(i)
			if <-back != uint64(i) {
				fail("no echo")
			}
		}
		return time.Since(start)
	})/2)
}
