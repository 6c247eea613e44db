import { describe, expect, it } from 'vitest';
import { Lines, MOST_LINES } from '../../demo/public/js/lines.js';
import { alone, Series } from '../../demo/public/js/series.js';

describe('a chart', () => {
  it('has points with the range of all values of their moment', () => {
    const series = new Series();
    series.add(10, 5);
    series.add(10.02, 90);
    series.add(10.05, -3);
    series.add(10.09, 7);
    series.add(10.09, null);
    series.add(10.2, 8);
    expect(series).toMatchObject({ times: [10, 10.2], values: [7, 8], lows: [-3, 8], highs: [90, 8] });
    expect(series.range(0)).toEqual({ min: -3, max: 90 });
    expect(series.range(10.1)).toEqual({ min: 8, max: 8 });
    series.forget(10.1);
    expect(series).toMatchObject({ times: [10.2], values: [8], lows: [8], highs: [8] });
    expect(series.range(11)).toBeUndefined();
  });

  it('marks values between messages without a value, as no line leads to them', () => {
    const series = new Series();
    for (const [second, value] of [null, 5, null, 6, 7, null, null, 8].entries()) series.add(second, value);
    expect(alone(series.values)).toEqual([1, 7]);
    series.add(8, 9);
    expect(alone(series.values)).toEqual([1]);
  });

  it('has a gap when no message came for long', () => {
    const series = new Series();
    for (const time of [1, 2, 3, 20]) series.add(time, 1);
    expect(series).toMatchObject({ times: [1, 2, 3, 11.5, 20], values: [1, 1, 1, null, 1] });
  });

  it('begins again and grows when the clock is set back', () => {
    const series = new Series();
    for (const time of [5000, 5001, 5000.5]) series.add(time, 9);
    expect(series.times).toEqual([5000, 5001]);
    for (const time of [100, 101, 102]) series.add(time, 1);
    expect(series).toMatchObject({ times: [100, 101, 102], values: [1, 1, 1] });
    expect(series.range(0)).toEqual({ min: 1, max: 1 });
  });
});

describe('the lines of a chart', () => {
  const told = (lines: Lines) => lines.all.map(({ brewerId, slot, series }) => [brewerId, slot, series.values]);

  it('are one for each brewer that has the number, and one for all further brewers', () => {
    const lines = new Lines();
    lines.add('mute', 1, null);
    for (let each = 0; each < MOST_LINES + 2; each++) lines.add(`b${each}`, 1 + each, each);
    lines.add('b0', 20, null);
    expect(told(lines)).toEqual([['b0', 0, [0, null]], ...[1, 2, 3, 4].map((each) => [`b${each}`, each, [each]]), ['', MOST_LINES, [5, 6]]]);
    expect(lines.first).toBe(1);
    expect(lines.range(0)).toEqual({ min: 0, max: 6 });
    expect(lines.range(100)).toBeUndefined();
  });

  it('end with their values, and give their colour to another brewer', () => {
    const lines = new Lines();
    for (const [time, brewerId] of ['a', 'b', 'c'].entries()) lines.add(brewerId, time, time);
    lines.forget(0.5);
    lines.add('d', 4, 9);
    expect(told(lines)).toEqual([['d', 0, [9]], ['b', 1, [1]], ['c', 2, [2]]]);
    lines.forget(1.5);
    lines.forget(3);
    lines.add('c', 5, 7);
    lines.forget(4.5);
    expect(told(lines)).toEqual([['c', 0, [7]]]);
    lines.forget(Infinity);
    expect([told(lines), lines.first, lines.range(0)]).toEqual([[], Infinity, undefined]);
  });

  it('end with their numbers, also while messages without one come', () => {
    const lines = new Lines();
    for (const [time, value] of [1, null, null].entries()) lines.add('a', time, value);
    lines.add('b', 2, 5);
    lines.forget(0.5);
    expect(told(lines)).toEqual([['b', 0, [5]]]);
    lines.add('a', 3, null);
    expect(told(lines)).toEqual([['b', 0, [5]]]);
  });

  it('are cleared together when the clock is set back, as one of a silent brewer would stand in the future', () => {
    const lines = new Lines();
    lines.add('silent', 5000, 1);
    lines.add('a', 5000, 2);
    lines.add('a', 100, 3);
    expect(told(lines)).toEqual([['a', 0, [3]]]);
  });

  it('go on where only another line has a value', () => {
    expect(alone([1, undefined, 2, undefined, null, 3, undefined, null, undefined, 4])).toEqual([5, 9]);
  });
});
