/** Runs a chip's steps on an emulated controller, in order, looking at BUSY every 10 ms of its virtual time. */
import type { PanelBus, PanelClock, Step } from '../../drivers/panel/eink-chip.js'

const LOOK_MS = 10

/** Throws when BUSY stays longer than a step allows. */
export async function runSteps(bus: PanelBus, clock: PanelClock, busyLevel: 0 | 1, steps: readonly Step[]): Promise<void> {
  for (const step of steps) await runStep(bus, clock, busyLevel, step)
}

async function runStep(bus: PanelBus, clock: PanelClock, busyLevel: 0 | 1, step: Step): Promise<void> {
  switch (step.step) {
    case 'reset':
      await bus.hold(true)
      await clock.pause(step.lowMs)
      await bus.hold(false)
      return clock.pause(step.afterMs)
    case 'command':
      return bus.command(step.command, step.data)
    case 'pause':
      return clock.pause(step.ms)
    case 'await idle': {
      const until = clock.now() + step.withinMs
      while (await bus.busy() === busyLevel) {
        if (clock.now() >= until) throw new Error(`BUSY for ${step.withinMs} ms: ${step.what}`)
        await clock.pause(LOOK_MS)
      }
    }
  }
}
