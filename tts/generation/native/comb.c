/* The comb filter: tts/audio/comb.py says what it is for and holds its numbers.
 *
 * Places lie `hop` samples apart. At each of them the pitch is found, and from its periods and the wave's spectrum
 * follow 2 hop filtered samples around it; between two places the output fades from the one's to the other's.
 *
 * The search is in whole numbers, whose sums of products are exact in any order; all else is float32 or float64, each
 * operation rounded by itself and in one order (-ffp-contract=off). So the samples are the same on every machine.
 *
 * Letters: h hop, r filter_reach, B bands. This file, too, is compiled once for each instruction set; EXPORT and
 * ENGINE_ISA: see engine.c. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "vectors.h"

#define JOIN_(name, isa) name##_##isa
#define JOIN(name, isa) JOIN_(name, isa)
#define NAME(name) JOIN(name, ENGINE_ISA)

enum { SIDES = 2, MOST_TAPS = 4 };

/* The numbers of the class `Comb`, and of its module. */
typedef struct {
    int32_t hop, window, match, shortest, longest, drift, taps, filter_reach, bands;
    double strength, least, full, most_gain;
} Comb;

/* The periods around a place: how far each is from it, and its weight. */
typedef struct {
    int32_t count, distance[SIDES * MOST_TAPS];
    double weight[SIDES * MOST_TAPS];
} Periods;

/* The sum of products of n samples; Comb.loudest keeps it within int32. */
static int32_t product(const int16_t *a, const int16_t *b, int32_t n)
{
    int32_t sum = 0;
    for (int32_t t = 0; t < n; t++) sum += a[t] * b[t];
    return sum;
}

/* From 0 to 1 between the correlations `least` and `full`. */
static double weight(const Comb *comb, double correlation)
{
    const double w = (correlation - comb->least) / (comb->full - comb->least);
    return w < 0 ? 0 : w > 1 ? 1 : w;
}

/* The distance, of `count` from `first` on by steps of `step`, at which samples correlate most with the `width` samples
 * from `here` on; the first of several. What they correlate goes to `*most`, 0 where nothing does. */
static int32_t best(const int16_t *here, int32_t width, int32_t first, int32_t count, int32_t step, double *most)
{
    const double energy = product(here, here, width);
    const int16_t *there = here + first;
    int32_t found = first, energy_there = product(there, there, width);
    *most = 0;
    for (int32_t k = 0; k < count; k++) {
        if (k) {
            const int16_t *in = there + (step > 0 ? width : -1), *out = there + (step > 0 ? 0 : width - 1);
            energy_there += *in * *in - *out * *out;
            there += step;
        }
        const double both = energy * energy_there, likeness = both > 0 ? product(there, here, width) / sqrt(both) : 0;
        if (likeness > *most) *most = likeness, found = first + k * step;
    }
    return found;
}

static void find_periods(const Comb *comb, const int16_t *place, Periods *periods)
{
    double most;
    const int32_t lags = comb->longest - comb->shortest + 1;
    const int32_t lag = best(place - comb->window / 2, comb->window, -comb->shortest, lags, -1, &most);
    const double strength = comb->strength * weight(comb, most);
    periods->count = 0;
    if (strength <= 0) return;
    for (int32_t side = 0; side < SIDES; side++) {
        int32_t distance = 0;
        for (int32_t k = 0; k < comb->taps; k++) {
            const int32_t nearest = distance + (side ? -lag : lag) - comb->drift;
            distance = best(place - comb->match / 2, comb->match, nearest, 2 * comb->drift + 1, 1, &most);
            const double w = weight(comb, most);
            if (w <= 0) break;
            periods->distance[periods->count] = distance;
            periods->weight[periods->count++] = strength * w;
        }
    }
}

/* out[t] = a sample averaged with those of other periods, n of them from `wave` on. */
static void average(const float *wave, const Periods *periods, int32_t n, float *out)
{
    double weights = 1;
    for (int32_t k = 0; k < periods->count; k++) weights += periods->weight[k];
    for (int32_t t = 0; t < n; t++) {
        double total = wave[t];
        for (int32_t k = 0; k < periods->count; k++) total += periods->weight[k] * wave[t + periods->distance[k]];
        out[t] = (float)(total / weights);
    }
}

/* out[t] = sum_j filter[j] x[t + j], j from -r to r. */
static void convolve(const float *x, const float *filter, int32_t r, int32_t n, float *out)
{
    int32_t t = 0;
    for (; t + 2 * LANES <= n; t += 2 * LANES) {
        floats low = 0.0f, high = 0.0f;
        for (int32_t j = -r; j <= r; j++) {
            low += filter[j + r] * load(x + t + j);
            high += filter[j + r] * load(x + t + j + LANES);
        }
        store(out + t, low);
        store(out + t + LANES, high);
    }
    for (; t < n; t++) {
        out[t] = 0;
        for (int32_t j = -r; j <= r; j++) out[t] += filter[j + r] * x[t + j];
    }
}

static double energy(const float *x, int32_t n)
{
    double sum = 0;
    for (int32_t t = 0; t < n; t++) sum += (double)x[t] * x[t];
    return sum;
}

/* The 2 h filtered samples around a place, to `out`; `work` has 2 h + 2 r + 2 h + (2 r + 1) floats. */
static void filter_place(
    const Comb *comb, const float *filters, const float *place, const int16_t *whole, float *work, float *out)
{
    const int32_t h = comb->hop, r = comb->filter_reach, n = 2 * h, length = 2 * r + 1;
    float *averaged = work + r, *band = work + n + 2 * r, *filter = band + n;
    const float *wave = place - h;
    Periods periods;
    find_periods(comb, whole, &periods);
    if (!periods.count) {
        memcpy(out, wave, n * sizeof *out);
        return;
    }
    average(wave - r, &periods, n + 2 * r, averaged - r);
    memset(filter, 0, length * sizeof *filter);
    for (int32_t b = 0; b < comb->bands; b++) { /* what a band has lost is given back to what is left of it */
        const float *of_band = filters + b * length;
        convolve(wave, of_band, r, n, band);
        const double before = energy(band, n);
        convolve(averaged, of_band, r, n, band);
        const double after = energy(band, n);
        double gain = after > 0 ? sqrt(before / after) : 1;
        gain = gain < 1 ? 1 : gain > comb->most_gain ? comb->most_gain : gain;
        for (int32_t j = 0; j < length; j++) filter[j] += (float)gain * of_band[j];
    }
    convolve(averaged, filter, r, n, out);
}

/* Filter `blocks` blocks of h samples from `wave` on; `whole` is the same in whole numbers. Both reach as far to either
 * side as `Comb.reach` says. `filters` are those of the bands, B times 2 r + 1; `work` has 8 h + 4 r + 1 floats. */
EXPORT void NAME(comb)(
    const Comb *comb, const float *filters, const float *wave, const int16_t *whole, int64_t blocks, float *work,
    float *out)
{
    const int32_t h = comb->hop;
    float *now = work, *next = now + 2 * h, *rest = next + 2 * h;
    filter_place(comb, filters, wave, whole, rest, now);
    for (int64_t start = 0; start < blocks * h; start += h) {
        filter_place(comb, filters, wave + start + h, whole + start + h, rest, next);
        for (int32_t t = 0; t < h; t++) {
            const float old = now[h + t], faded = old + (float)t / (float)h * (next[t] - old);
            out[start + t] = faded < -1 ? -1 : faded > 1 ? 1 : faded;
        }
        float *free = now;
        now = next;
        next = free;
    }
}
