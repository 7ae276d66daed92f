package schedule

// machine is what is common to the scheduler and the oracle.
type machine interface {
	submit(now int64, id int, w work)
	meddle(now int64, e event) // do anything but submit or cancel
	cancel(now int64, id int)  // a job that waits
	finish(now int64, id int, again bool)
	later(now int64, id int, at int64, hold bool)
	expired(now int64) []int
	ruledOut(now int64) []int // it is called after each event
	next(now int64) (id int, slot int64, ok bool)
	wake(now int64) (int64, bool)
}

type schedulerMachine struct {
	*Scheduler
	jobs map[int]*Job
}

func newSchedulerMachine(cfg Config) schedulerMachine {
	return schedulerMachine{newScheduler(cfg), map[int]*Job{}}
}

func (m schedulerMachine) submit(now int64, id int, w work) {
	m.jobs[id] = newJob(id)
	m.jobs[id].Arrival = now - w.late
	m.SubmitDated(now, m.jobs[id], w.key, w.priority, w.limits, w.dates)
}

func (m schedulerMachine) meddle(now int64, e event) {
	switch e.do {
	case holdsKey:
		m.Hold(now, e.key, e.until)
	case pauses:
		m.Pause()
	case resumes:
		m.Resume()
	case pausesKey:
		m.PauseKey(now, e.key)
	case resumesKey:
		m.ResumeKey(now, e.key)
	case setsParams:
		m.SetParams(now, e.key, e.params)
	case setsWorkers:
		m.SetWorkers(now, e.n)
	}
}

func (m schedulerMachine) cancel(now int64, id int) { m.Remove(now, m.jobs[id]) }

func (m schedulerMachine) later(now int64, id int, at int64, hold bool) {
	m.Later(now, m.jobs[id], at, hold)
}

func (m schedulerMachine) expired(now int64) []int {
	var ids []int
	for j := m.Expired(now); j != nil; j = m.Expired(now) {
		ids = append(ids, idOf(j))
	}
	return ids
}

func (m schedulerMachine) ruledOut(now int64) []int {
	var ids []int
	for more := true; more; { // bit by bit
		more = m.RemoveImpossible(now, m.cfg.Workers, func(j *Job) { ids = append(ids, idOf(j)) })
	}
	return ids
}

func (m schedulerMachine) finish(now int64, id int, again bool) {
	m.Finished(now, m.jobs[id], again)
}

func (m schedulerMachine) next(now int64) (id int, slot int64, ok bool) {
	j, ask := m.Next(now)
	if j == nil {
		return 0, 0, false
	}
	if ask {
		m.Granted(now, j, j.Slot)
	}
	return idOf(j), j.Slot, true
}

func (m schedulerMachine) wake(now int64) (int64, bool) {
	m.checkInspection(now)
	return m.Wake()
}

type oracleMachine struct {
	*oracle
	running map[int]*oracleJob
}

func (m oracleMachine) submit(now int64, id int, w work) {
	m.oracle.submit(now, now-w.late, id, w.key, w.priority, w.limits, w.dates)
}

func (m oracleMachine) meddle(now int64, e event) {
	switch e.do {
	case holdsKey:
		m.holdKey(now, e.key, e.until)
	case pauses:
		m.paused = true
	case resumes:
		m.paused = false
	case pausesKey, resumesKey:
		m.pauseKey(now, e.key, e.do == pausesKey)
	case setsParams:
		m.setParams(now, e.key, e.params)
	case setsWorkers:
		m.setWorkers(e.n)
	}
}

func (m oracleMachine) cancel(now int64, id int) { m.remove(now, id) }

func (m oracleMachine) later(now int64, id int, at int64, hold bool) {
	m.oracle.later(now, m.running[id], at, hold)
}

func (m oracleMachine) expired(now int64) []int {
	m.expire(now)
	ids := m.oracle.expired
	m.oracle.expired = nil
	return ids
}

func (m oracleMachine) ruledOut(int64) []int {
	ids := m.oracle.ruledOut
	m.oracle.ruledOut = nil
	return ids
}

func (m oracleMachine) finish(now int64, id int, again bool) {
	m.oracle.finished(now, m.running[id], again)
}

func (m oracleMachine) next(now int64) (id int, slot int64, ok bool) {
	j, slot := m.oracle.next(now)
	if j == nil {
		return 0, 0, false
	}
	m.running[j.id] = j
	return j.id, slot, true
}
